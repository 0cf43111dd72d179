"""A local causal language model as the judge: which of the letters A and B it holds to be likelier."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from tasks.failures import BadConfig, BadData
from tasks.models import freeze, load_base
from tasks.rank.judge.endpoint import Reply


class LocalModel:
    """Compares log-probabilities of the next token: nothing is sampled, so a verdict is always given.

    Between equal log-probabilities the verdict is C. The reply counts as one token.
    """

    def __init__(self, folder: Path) -> None:
        self._model = freeze(load_base(folder))
        if torch.cuda.is_available():
            self._model = self._model.to("cuda")  # type: ignore[arg-type]  # `to` is decorated without types
        # No code of the folder is run, and nothing is fetched
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._ids = [self._letter(letter) for letter in "AB"]
        if self._ids[0] == self._ids[1]:
            raise BadData(f"{folder.name}: its tokenizer has one token for A and B; judge with another model")

    def close(self) -> None:
        """Nothing to close."""

    @torch.inference_mode()
    def ask(self, text: str) -> Reply:
        """A, B or C. Raises BadConfig when the question is longer than the model's positions."""
        ids = self._encode(text)
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit is not None and len(ids) > limit:
            raise BadConfig(
                f"a question to the judge has {len(ids)} tokens, its model {limit} positions; shorten "
                "rank.judge.prompt or candidates.max_new_tokens, or let a model of longer context judge"
            )
        ids_1T = torch.tensor([ids], device=next(self._model.parameters()).device)
        logit_V = self._model(input_ids=ids_1T).logits[0, -1]
        first, second = (float(logit_V[number]) for number in self._ids)
        return Reply("C" if first == second else "A" if first > second else "B", len(ids), 1)

    def _encode(self, text: str) -> list[int]:
        if self._tokenizer.chat_template:
            talk = [{"role": "user", "content": text}]
            found: Any = self._tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=True)
            return list(found["input_ids"])
        return list(self._tokenizer(f"{text}\n\nAnswer:")["input_ids"])

    def _letter(self, letter: str) -> int:
        """The token that a reply begins with: after a chat template the bare letter, else one behind a blank."""
        start = letter if self._tokenizer.chat_template else f" {letter}"
        ids = self._tokenizer(start, add_special_tokens=False)["input_ids"]
        return int(ids[-1])
