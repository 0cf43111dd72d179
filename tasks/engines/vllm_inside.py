"""vLLM inside the training process. Written against vLLM's documented interface; never run here, which has no GPU."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from tasks.engines.engine import Answer, Sampling, Weights, answer, seed_of
from tasks.failures import BadConfig


class VllmInsideEngine:
    """``model``: folder of the start model; the policy is a LoRA on it, loaded anew under a new number at each sync."""

    def __init__(self, model: str, adapters: Path, memory: float, rank: int) -> None:
        try:
            self._vllm: Any = import_module("vllm")
            self._lora: Any = import_module("vllm.lora.request")
        except ImportError as error:
            raise BadConfig(
                f"ppo.rollout.vllm.mode=colocated: vLLM cannot be imported ({error}); install it, or set mode=server"
            ) from error
        self.adapters, self.syncs = adapters.absolute(), 0
        self._llm = self._vllm.LLM(
            model=model, enable_lora=True, max_lora_rank=max(rank, 8), gpu_memory_utilization=memory
        )

    def sync(self, policy: Weights) -> None:
        shutil.rmtree(self.adapters / str(self.syncs), ignore_errors=True)
        self.syncs += 1
        folder = self.adapters / str(self.syncs)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        policy.save(folder, "start")

    def generate(self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator) -> list[Answer]:
        if not prompts:
            return []
        seed = seed_of(generator)
        settings = [
            self._vllm.SamplingParams(
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                stop_token_ids=sampling.end_ids,
                seed=seed + place,
            )
            for place in range(len(prompts))
        ]
        adapter = self._lora.LoRARequest(f"policy-{self.syncs}", self.syncs, str(self.adapters / str(self.syncs)))
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
        found = self._llm.generate(asked, settings, lora_request=adapter, use_tqdm=False)
        return [answer(list(one.outputs[0].token_ids), sampling.end_ids) for one in found]

    def close(self) -> None:
        shutil.rmtree(self.adapters / str(self.syncs), ignore_errors=True)
