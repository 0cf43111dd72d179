"""Evaluate and report stages: the three models side by side."""

from typing import Literal

from configs.schema.launch import LaunchConfig
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting


class EvaluateConfig(Strict):
    """Perplexity, instruction following and held-out reward of base, fine-tuned and aligned model."""

    prompts: PromptSource = setting(..., "Held-out prompts.")
    checker: Literal["world", "wellformed"] = setting("wellformed", "Instruction following, as in finetune.")
    rubric: Literal["world", "none"] = setting("none", "Hidden rubric to report.")
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    max_length: int = setting(
        512, "Longer conversations are cut at the left when scored, longer documents at the right.", unit="tokens", ge=8
    )
    heldout_documents: int = setting(256, "Held-out documents for perplexity.", unit="documents", ge=1)
    samples: int = setting(12, "Answers shown side by side.", unit="prompts", ge=1)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)


class ReportConfig(Strict):
    """One HTML page with curves and samples, and summary.json."""

    title: str = setting("", "Heading of the page; the recipe's name when empty.")
