"""A vLLM server (`vllm serve START --enable-lora`) by its documented HTTP endpoints.

GET /health; POST /v1/completions with token ids in and, by ``return_token_ids``, token ids out, as TRL's client asks;
POST /v1/load_lora_adapter and /v1/unload_lora_adapter, which the server offers when VLLM_ALLOW_RUNTIME_LORA_UPDATING
is set. Only the standard library: vLLM itself need not be installed on this side.
"""

import json
import shutil
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from tasks.engines.engine import Answer, Sampling, Weights, answer, seed_of
from tasks.failures import BadConfig, LostWorker

NAME = "plumbline-policy"
REQUESTS = 64  # at the same time; the server makes batches of them


class VllmServerEngine:
    """Each sync saves the adapter under a new name and drops the one before: cached prefixes belong to a name."""

    def __init__(self, url: str, adapters: Path, timeout: float = 600.0, main: bool = True) -> None:
        """``adapters``: a folder that the server sees under the same path. ``main``: this process writes and loads."""
        self.url, self.adapters, self.timeout, self.main = url.rstrip("/"), adapters.absolute(), timeout, main
        self.syncs = 0
        self._call("GET", "/health", None, 10.0)

    @property
    def name(self) -> str:
        """The adapter that answers now."""
        return f"{NAME}-{self.syncs}"

    def sync(self, policy: Weights) -> None:
        before, self.syncs = self.name, self.syncs + 1
        if not self.main:
            return
        folder = self.adapters / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        policy.save(folder, "start")
        if not (folder / "adapter_config.json").is_file():
            raise BadConfig("ppo.rollout.engine=vllm syncs LoRA adapters: set ppo.method=lora")
        # one of this name may be left from a run before
        self._call("POST", "/v1/unload_lora_adapter", {"lora_name": self.name}, self.timeout, accept=(200, 400, 404))
        self._call("POST", "/v1/load_lora_adapter", {"lora_name": self.name, "lora_path": str(folder)}, self.timeout)
        if self.syncs > 1:
            self._call("POST", "/v1/unload_lora_adapter", {"lora_name": before}, self.timeout, accept=(200, 404))
            shutil.rmtree(self.adapters / before, ignore_errors=True)

    def generate(self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator) -> list[Answer]:
        """One request a prompt, so that each has a seed of its own: with one seed for all, equal prompts would get
        equal answers. Raises LostWorker for a wrong reply."""
        if not prompts:
            return []
        seeds = [(seed_of(generator) + place) % 2**32 for place in range(len(prompts))]
        with ThreadPoolExecutor(max_workers=min(REQUESTS, len(prompts))) as pool:
            return list(pool.map(lambda prompt, seed: self._answer(prompt, seed, sampling), prompts, seeds))

    def _answer(self, prompt: list[int], seed: int, sampling: Sampling) -> Answer:
        body = {
            "model": self.name,
            "prompt": prompt,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "stop_token_ids": sampling.end_ids,
            "seed": seed,
            "return_token_ids": True,
        }
        choices = self._call("POST", "/v1/completions", body, self.timeout).get("choices", [])
        if len(choices) != 1 or choices[0].get("token_ids") is None:
            raise LostWorker(f"{self.url} gave no token_ids for a prompt; a vLLM that knows return_token_ids is needed")
        return _read(choices[0], sampling)

    def close(self) -> None:
        """Unload the adapter and remove its folder."""
        if self.main and self.syncs:
            self._call("POST", "/v1/unload_lora_adapter", {"lora_name": self.name}, 10.0, accept=(200, 404))
            shutil.rmtree(self.adapters / self.name, ignore_errors=True)

    def _call(self, method: str, path: str, body: Any, timeout: float, accept: tuple[int, ...] = (200,)) -> Any:
        """One request, three tries while the server cannot be reached. Raises LostWorker, and BadConfig when it
        answers that it cannot do what was asked."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        for attempt in range(3):
            try:
                with urllib.request.urlopen(request, timeout=timeout) as reply:
                    text = reply.read().decode()
                    return json.loads(text) if text.startswith("{") else {}
            except urllib.error.HTTPError as error:
                if error.code in accept:
                    return {}
                if error.code < 500:
                    raise BadConfig(self._refused(path, error)) from error
                problem: Exception = error
            except OSError as error:
                problem = error
            time.sleep(0.2 * 4**attempt)
        raise LostWorker(f"{self.url}{path}: {problem}; start the server, or set ppo.rollout.vllm.url") from problem

    def _refused(self, path: str, error: urllib.error.HTTPError) -> str:
        said = error.read().decode(errors="replace")[:300]
        hint = ""
        if "lora" in path:
            hint = (
                "; start it with --enable-lora, --max-lora-rank of at least ppo.lora.rank and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and let it see ppo.rollout.vllm.adapters"
            )
        return f"{self.url}{path} answered {error.code}: {said}{hint}"


def _read(choice: dict[str, Any], sampling: Sampling) -> Answer:
    """vLLM keeps the end token in token_ids; where a server leaves it out, ``stop_reason`` names it."""
    found = answer(list(choice["token_ids"]), sampling.end_ids)
    if found.ended or choice.get("finish_reason") != "stop":
        return found
    stop = choice.get("stop_reason")
    return Answer([*found.ids, stop if isinstance(stop, int) else sampling.end_ids[0]], True)
