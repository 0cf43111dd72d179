"""transformers' continuous batching: a paged cache, and a new answer begins where another one has ended."""

from typing import Any, cast

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel

from tasks.engines.engine import Answer, Sampling, Weights, answer, seed_of
from tasks.failures import LostWorker


class ContinuousEngine:
    """``page`` tokens a page of the cache, ``tokens`` at most in a forward pass; pages for every prompt at once."""

    def __init__(self, page: int = 16, tokens: int = 4096) -> None:
        self.page, self.tokens = page, tokens
        self._model: PreTrainedModel | None = None

    def sync(self, policy: Weights) -> None:
        self._model = cast(PreTrainedModel, policy.merged)

    def generate(self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator) -> list[Answer]:
        """Draws from torch's global generator, seeded for the call and put back after it. Raises LostWorker when
        transformers gives fewer answers than prompts."""
        assert self._model is not None, "sync comes before generate"
        if not prompts:
            return []
        drawn = sampling.temperature > 0
        settings = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=drawn,
            # None: the model's own generation settings must not cut the distribution that PPO trains on
            temperature=sampling.temperature if drawn else None,
            top_k=0 if drawn else None,
            top_p=1.0 if drawn else None,
            eos_token_id=sampling.end_ids or [-1],
            pad_token_id=sampling.pad_id,
        )
        with torch.random.fork_rng():
            found = cast(Any, self._model).generate_batch(
                prompts,
                generation_config=settings,
                continuous_batching_config=self._cache(prompts, sampling, seed_of(generator)),
                progress_bar=False,
                warmup=False,
            )
        missing = len(prompts) - len(found)
        broken = [str(one.error) for one in found.values() if one.error is not None]
        if missing or broken:
            raise LostWorker(f"continuous batching lost {missing} of {len(prompts)} answers: {(broken or ['?'])[0]}")
        return [answer(list(one.generated_tokens), sampling.end_ids) for one in found.values()]

    def _cache(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> ContinuousBatchingConfig:
        pages = sum(-(-(len(prompt) + sampling.max_new_tokens) // self.page) for prompt in prompts)
        longest = max(len(prompt) for prompt in prompts)
        return ContinuousBatchingConfig(
            page_size=self.page,
            num_blocks=pages + len(prompts),
            max_batch_tokens=max(self.tokens, longest),
            allow_block_sharing=False,
            auto_switch_to_flash=torch.cuda.is_available(),
            seed=seed,
        )

    def close(self) -> None:
        self._model = None
