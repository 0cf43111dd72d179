"""Candidates stage: K answers a prompt, sampled from the fine-tuned model or several models, for somebody to rank."""

from typing import Literal

from pydantic import model_validator

from configs.schema.launch import LaunchConfig
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting


class CandidateModel(Strict):
    """One of several models that answer every prompt."""

    name: str = setting(..., "What it is called in the data; annotators do not see it.", min_length=1)
    stage: Literal["finetuned", "base"] | None = setting(None, "Model of this recipe; empty for one from a folder.")
    base: str | None = setting(
        None, "Folder of a chat model, or of a LoRA adapter on this recipe's base.", unit="path", keyed=False
    )
    share: float = setting(1.0, "Part of the K answers, beside the shares of the others.", gt=0)

    @model_validator(mode="after")
    def _one_place(self) -> "CandidateModel":
        if (self.stage is None) == (self.base is None):
            raise ValueError(f"candidates.models, {self.name!r}: set one of `stage` and `base`")
        return self


class CandidateConfig(Strict):
    """Answers sampled from the fine-tuned model; rank.ranker says who ranks them."""

    prompts: PromptSource = setting(..., "Prompts to answer.")
    candidates: int = setting(10, "Answers a prompt (K).", unit="answers", ge=2)
    models: list[CandidateModel] = setting([], "Models that share the K answers; the fine-tuned one when empty.")
    temperature: float = setting(1.0, "Sampling temperature.", gt=0)
    top_p: float = setting(1.0, "Least probability of the likeliest tokens that are drawn from; 1 is all.", gt=0, le=1)
    top_k: int = setting(0, "Number of the likeliest tokens that are drawn from; 0 is all.", unit="tokens", ge=0)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    seeds: Literal["answer", "group"] = setting(
        "answer", "Random numbers of their own for each answer, or for each group of `batch` answers."
    )
    distinct: bool = setting(False, "Sample an answer again that equals another one to its prompt.")
    distinct_tries: int = setting(3, "Times that an answer is sampled again at most.", unit="times", ge=1)
    batch: int = setting(256, "Answers sampled at once, whole prompts.", unit="answers", ge=1)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @model_validator(mode="after")
    def _names_differ(self) -> "CandidateConfig":
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError(f"candidates.models: two models have one name: {', '.join(names)}")
        if len(names) > self.candidates:
            raise ValueError(f"candidates.models: {len(names)} models share candidates.candidates={self.candidates}")
        return self
