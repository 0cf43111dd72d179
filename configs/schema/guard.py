"""The guard against over-optimisation: what is watched while PPO runs, and what follows."""

from typing import Literal

from pydantic import model_validator

from configs.schema.strict import Strict, setting


class GuardConfig(Strict):
    """Signals against the start of the run. An empty limit switches a signal off; see docs/ppo-guard.md."""

    act: Literal["watch", "stop"] = setting("watch", "Only say so, or end the run where a limit is passed.")
    every: int | None = setting(
        None, "Iterations between two measurements on held-out prompts; none when empty.", unit="iterations", ge=1
    )
    prompts: int = setting(64, "Held-out prompts that are measured, the first ones.", unit="prompts", ge=2)
    function: str | None = setting(
        None,
        "Held-out reward that is never trained on: package.module:function, called as those of ppo.rewards.",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
    )
    model: str | None = setting(None, "Held-out reward: folder of a second reward model, named by its path.")
    warn: float = setting(0.5, "Share of a limit from which the state is warn.", unit="share", gt=0, lt=1)
    kl: float | None = setting(None, "KL budget.", unit="nats/answer", gt=0)
    reward_drop: float | None = setting(
        0.5, "Fall of the held-out reward below its best so far.", unit="start deviations", gt=0
    )
    disagreement: float | None = setting(
        1.0, "Rise of the disagreement of the reward model's members, as a share of the start's.", unit="share", gt=0
    )
    length: float | None = setting(2.0, "Factor by which answers grow or shrink.", unit="factor", gt=1)
    repetition: float | None = setting(
        0.2, "Rise of the share of repeated token 3-grams within answers.", unit="share", gt=0, le=1
    )
    entropy: float | None = setting(0.75, "Fall of the entropy a token, as a share of the start's.", gt=0, le=1)
    truncated: float | None = setting(0.2, "Rise of the share of answers that do not end.", unit="share", gt=0, le=1)
    select: Literal["last", "best"] = setting(
        "last", "What is released: the last policy, or the measured one with the best held-out reward in the budget."
    )

    @model_validator(mode="after")
    def _agree(self) -> "GuardConfig":
        if self.function is not None and self.model is not None:
            raise ValueError(f"ppo.guard.function={self.function} and ppo.guard.model={self.model}: give one of them")
        if self.every is None and (self.select == "best" or self.function or self.model):
            raise ValueError(
                "ppo.guard.every is empty, so nothing is measured on held-out prompts: set it, for example to 5, or "
                "leave ppo.guard.select, function and model as they are"
            )
        return self
