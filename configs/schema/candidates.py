"""Candidates stage: K answers a prompt, sampled from the fine-tuned model, for somebody to rank."""

from configs.schema.launch import LaunchConfig
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting


class CandidateConfig(Strict):
    """Answers sampled from the fine-tuned model; rank.ranker says who ranks them."""

    prompts: PromptSource = setting(..., "Prompts to answer.")
    candidates: int = setting(4, "Answers a prompt (K).", unit="answers", ge=2)
    temperature: float = setting(1.0, "Sampling temperature.", gt=0)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    batch: int = setting(
        256, "Answers sampled at once; each group of so many has its own random numbers.", unit="answers", ge=1
    )
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)
