"""Our own sampling loop on the policy's merged weights, in this process: exact, and the same on every machine run."""

from typing import cast

import torch
from transformers import PreTrainedModel

from tasks.engines.engine import Answer, Sampling, Weights, answer
from tasks.sampling import generate


class NativeEngine:
    """Reads the policy's own tensors: syncing copies nothing."""

    def __init__(self, batch: int = 256, by_length: bool = False) -> None:
        self.batch, self.by_length = batch, by_length
        self._model: PreTrainedModel | None = None

    def sync(self, policy: Weights) -> None:
        self._model = cast(PreTrainedModel, policy.merged)

    def generate(self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator) -> list[Answer]:
        assert self._model is not None, "sync comes before generate"
        found = generate(
            self._model,
            prompts,
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            end_ids=sampling.end_ids,
            pad_id=sampling.pad_id,
            generator=generator,
            batch=self.batch,
            by_length=self.by_length,
        )
        return [answer(ids, sampling.end_ids) for ids in found]

    def close(self) -> None:
        self._model = None
