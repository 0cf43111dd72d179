"""Held-out figures before and after, of saved models: TRL patches the model that it trains."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.trl import TrlConfig
from tasks.chat import decode_answer, end_ids
from tasks.heldout import Measurement, metrics_of, rubric_scores
from tasks.inputs import Inputs
from tasks.models import load_base, load_chat_model
from tasks.perplexity import perplexity, token_nats
from tasks.prompt_sets import Prompt
from tasks.randomness import generator
from tasks.rewards import Rewards
from tasks.sampling import generate
from tasks.trl_methods.examples import Pair

PAIRS = 512  # held-out pairs that are looked at, at most


class Measurer:
    """Measures the fine-tuned model, and the same model with an adapter on it, on the same prompts and pairs."""

    def __init__(
        self,
        config: TrlConfig,
        inputs: Inputs,
        tokenizer: PreTrainedTokenizerBase,
        prompts: list[Prompt],
        pairs: list[Pair],
        rewards: Rewards,
        device: torch.device,
    ) -> None:
        self._config, self._inputs, self._tokenizer, self._rewards = config, inputs, tokenizer, rewards
        self._device, self._pad = device, int(tokenizer.pad_token_id)
        self._asked = [prompt for prompt in prompts for _ in range(config.heldout_samples)]
        self._pairs = pairs[:PAIRS]

    def start(self) -> Measurement:
        """Answers of the fine-tuned model; its KL from itself is 0."""
        return self._answers(self.model(), None)

    def end(self, start: Measurement, adapter: Path) -> tuple[Measurement, dict[str, Any]]:
        """Answers of the aligned model, drawn with the same random numbers, and the metrics of both."""
        reference, model = self.model(), self.model(adapter)
        found = self._answers(model, reference)
        metrics = {**metrics_of(start, found), **self._preferences(model, reference)}
        base = load_base(self._inputs.folders["base"]).to(self._device)  # type: ignore[arg-type]
        for name, measured in (("answer_perplexity_start", start), ("answer_perplexity", found)):
            rows, masks = self._rows([prompt.ids for prompt in self._asked], measured.ids)
            metrics[name] = perplexity(base, rows, self._pad, masks=masks)
        return found, metrics

    def model(self, *adapters: Path) -> PreTrainedModel:
        """Base and fine-tuned adapter merged, and what comes after."""
        folders = self._inputs.folders
        model = load_chat_model(folders["base"], folders["finetuned"], *adapters)
        return model.to(self._device)  # type: ignore[arg-type]  # transformers decorates `to` without types

    def _answers(self, model: PreTrainedModel, reference: PreTrainedModel | None) -> Measurement:
        config, ends = self._config, end_ids(self._tokenizer)
        assert config.seed is not None
        prompts = [prompt.ids for prompt in self._asked]
        ids = generate(
            model,
            prompts,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            end_ids=ends,
            pad_id=self._pad,
            generator=generator(config.seed, "heldout", device=self._device),
        )
        kl = [0.0] * len(ids)
        if reference is not None:
            rows, masks = self._rows(prompts, ids)
            own, other = (self._nats(asked, rows, masks, config.temperature) for asked in (model, reference))
            kl = [far - near for near, far in zip(own, other, strict=True)]
        texts = [decode_answer(self._tokenizer, answer) for answer in ids]
        return Measurement(
            answers=texts,
            ids=ids,
            ended=[bool(answer) and answer[-1] in ends for answer in ids],
            score=self._rewards(self._asked, texts).total_B.tolist(),
            rubric=rubric_scores(config.rubric, [prompt.text for prompt in self._asked], texts),
            kl=kl,
        )

    def _preferences(self, model: PreTrainedModel, reference: PreTrainedModel) -> dict[str, float]:
        """How the aligned model sees held-out pairs against the start (Rafailov et al. 2023, section 4).

        margin: mean of log p/p_start of the preferred answer minus that of the other, in nats. preferred: share of
        pairs where it is positive, equal ones half.
        """
        if not self._pairs:
            return {}
        gaps = []
        prompts = [pair.prompt for pair in self._pairs]
        for answers in ([pair.chosen for pair in self._pairs], [pair.rejected for pair in self._pairs]):
            rows, masks = self._rows(prompts, answers)
            own, other = (self._nats(asked, rows, masks, 1.0) for asked in (model, reference))
            gaps.append([far - near for near, far in zip(own, other, strict=True)])
        margins = [chosen - rejected for chosen, rejected in zip(*gaps, strict=True)]
        return {
            "margin": fmean(margins),
            "preferred": fmean(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins),
            "heldout_pairs": len(margins),
        }

    def _nats(
        self, model: PreTrainedModel, rows: list[list[int]], masks: list[list[int]], temperature: float
    ) -> list[float]:
        return token_nats(model, rows, self._pad, masks=masks, temperature=temperature)

    @staticmethod
    def _rows(prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
        """Whole conversations, and 1 on what the answer says."""
        both = list(zip(prompts, answers, strict=True))
        return [p + a for p, a in both], [[0] * len(p) + [1] * len(a) for p, a in both]
