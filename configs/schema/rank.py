"""Rank stage: rankings of K answers a prompt, from data sets, programs and people, split by prompt."""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from configs.schema.judge import JudgeConfig
from configs.schema.launch import LaunchConfig
from configs.schema.sources import RankingSource
from configs.schema.strict import Strict, setting

Ranker = Literal["rubric", "shortest", "people", "judge"]
PORT = 4300  # of the ranking page
LONGEST = 80  # characters of an annotator's name


class PageConfig(Strict):
    """The page on which people rank. Nothing of it is in the key."""

    serve: bool = setting(True, "Serve the page while the run waits.", keyed=False)
    port: int = setting(PORT, "Port of the page on 127.0.0.1.", keyed=False, ge=1, le=65535)
    annotators: list[str] = setting(
        [], "Who ranks, a link for each; annotator-1 and so on, as many as overlap says, when empty.", keyed=False
    )

    @field_validator("annotators")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not name.strip() or len(name) > LONGEST or not name.isprintable() or names.count(name) > 1:
                raise ValueError(f"{name!r}: different names of 1 to {LONGEST} printable characters")
        return names


class PeopleConfig(Strict):
    """Rankings by people: the run waits until they are in. The file's content, and nothing here, is in the key."""

    target: int | None = setting(
        None,
        "Prompts to be ranked before the run goes on; all of them when empty.",
        unit="prompts",
        keyed=False,
        ge=1,
    )
    overlap: int = setting(1, "Annotators who rank the same prompt.", unit="annotators", keyed=False, ge=1)
    deadline_hours: float | None = setting(
        None,
        "Longest wait, from when these candidates were first given out; for ever when empty.",
        unit="h",
        keyed=False,
        gt=0,
    )
    on_deadline: Literal["use", "fail"] = setting(
        "fail", "At the deadline, short of the target: use the rankings that are there, or fail.", keyed=False
    )
    path: str | None = setting(
        None, "Candidates with their ranks filled in; when empty, the run asks for them.", unit="path", keyed=False
    )
    page: PageConfig = setting(PageConfig(), "The page on which they rank.", keyed=False)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if len(self.who) < self.overlap:
            raise ValueError(
                f"overlap={self.overlap}, but page.annotators names {len(self.who)}: lower one or name more"
            )
        return self

    @property
    def who(self) -> list[str]:
        """The annotators, named or not."""
        return self.page.annotators or [f"annotator-{number + 1}" for number in range(self.overlap)]


class RankConfig(Strict):
    """Rankings from data sets, of sampled candidates, or both."""

    sources: list[RankingSource] = setting([], "Data sets of rankings.")
    ranker: Ranker | list[Ranker] | None = setting(
        None, "Who ranks the sampled candidates: the small world's rubric, length, people, a judge model; or several."
    )
    judge: JudgeConfig | None = setting(None, "The model that ranks, with ranker: judge.")
    people: PeopleConfig = setting(PeopleConfig(), "What is asked of people, with ranker: people.", keyed=False)
    heldout: float = setting(0.12, "Share of prompts held out of reward training.", unit="share", gt=0, lt=1)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @property
    def rankers(self) -> list[Ranker]:
        """Everybody who ranks the candidates, each once."""
        named = self.ranker if isinstance(self.ranker, list) else [self.ranker] if self.ranker else []
        return list(dict.fromkeys(named))
