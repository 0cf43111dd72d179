"""Rank stage: candidates and their rankings, split by prompt."""

from typing import Literal

from configs.schema.launch import LaunchConfig
from configs.schema.sources import PromptSource, RankingSource
from configs.schema.strict import Strict, setting


class CandidateConfig(Strict):
    """Answers sampled from the fine-tuned model, ranked by a program."""

    prompts: PromptSource = setting(..., "Prompts to answer.")
    candidates: int = setting(4, "Answers a prompt (K).", unit="answers", ge=2)
    temperature: float = setting(1.0, "Sampling temperature.", gt=0)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    batch: int = setting(
        256, "Answers sampled at once; each group of so many has its own random numbers.", unit="answers", ge=1
    )
    ranker: Literal["rubric", "shortest"] = setting(
        "rubric", "Program that ranks: the small world's rubric, or length."
    )


class RankConfig(Strict):
    """Rankings from data sets, from sampled candidates, or both."""

    sources: list[RankingSource] = setting([], "Data sets of rankings.")
    sampled: CandidateConfig | None = setting(None, "Candidates sampled from the fine-tuned model.")
    heldout: float = setting(0.12, "Share of prompts held out of reward training.", unit="share", gt=0, lt=1)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)
