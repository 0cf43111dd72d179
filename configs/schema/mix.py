"""Mixing: the share of each source in the training tokens, how often it may be seen, and in which stages."""

from typing import Literal

from pydantic import model_validator

from configs.schema.strict import Strict, setting


def _check(weights: dict[str, float], where: str) -> None:
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{where}: {name}={weight}; a weight is 0 or more, 0 leaves the source out")
    if weights and not any(weights.values()):
        raise ValueError(f"{where}: all are 0; give at least one source a weight")


class MixStage(Strict):
    """One stage of a curriculum."""

    name: str = setting(..., "Name of the stage in the report.", min_length=1)
    share: float = setting(..., "Share of all training tokens; the stages' shares add up to 1.", gt=0, le=1)
    weights: dict[str, float] = setting({}, "Weight of each source in this stage; those of the mix when empty.")
    order: Literal["shuffle", "length", "quality"] = setting(
        "shuffle", "Order of documents: shuffled, or ascending by tokens or by quality score."
    )

    @model_validator(mode="after")
    def _weights(self) -> "MixStage":
        _check(self.weights, f"weights of stage {self.name!r}")
        return self


class MixConfig(Strict):
    """Shares of sources in training tokens. Epochs of each source follow from them."""

    weights: dict[str, float] = setting({}, "Weight of each source by name, in any unit; by its tokens when empty.")
    temperature: float = setting(
        1.0, "Without weights: shares go with tokens^(1/temperature); more than 1 favours small sources.", gt=0
    )
    max_epochs: float = setting(4.0, "No source is seen more often than this.", unit="epochs", gt=0)
    tokens: int | None = setting(
        None, "Tokens of the mix; when empty as many as the sources have, or as the shares and max_epochs allow.",
        unit="tokens", ge=1,
    )  # fmt: skip
    when_short: Literal["warn", "stop"] = setting(
        "warn", "When max_epochs makes a share impossible: other sources fill in and it is reported, or stop."
    )
    stages: list[MixStage] = setting([], "Stages of a curriculum, in order; one shuffled stage when empty.")

    @model_validator(mode="after")
    def _together(self) -> "MixConfig":
        _check(self.weights, "weights")
        if self.temperature != 1 and (self.weights or any(stage.weights for stage in self.stages)):
            raise ValueError(f"temperature={self.temperature} and weights: each decides the shares; set one of them")
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stages: two have the name {twice[0]!r}; each stage needs a name of its own")
        total = sum(stage.share for stage in self.stages)
        if self.stages and abs(total - 1) > 1e-6:
            raise ValueError(f"stages: their shares add up to {total:g}, not to 1")
        return self
