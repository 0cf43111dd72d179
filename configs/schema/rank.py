"""Rank stage: rankings of K answers a prompt, from data sets, programs and people, split by prompt."""

from typing import Literal

from configs.schema.judge import JudgeConfig
from configs.schema.launch import LaunchConfig
from configs.schema.sources import RankingSource
from configs.schema.strict import Strict, setting

Ranker = Literal["rubric", "shortest", "people", "judge"]


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
