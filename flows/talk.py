"""`plumbline chat`: load a model of a run and answer."""

import os
import sys
from pathlib import Path

from flows.show import open_run_artifact
from tasks.failures import BadConfig
from tasks.run import RunRecord, find_run

MODELS = ("base", "finetuned", "aligned")


def talk(name: str | None, prompt: str | None, model: str, temperature: float, max_new_tokens: int) -> None:
    """Answer one prompt, or hold a conversation until an empty line. Raises BadConfig for an unknown model."""
    if model not in MODELS:
        raise BadConfig(f"--model {model!r}: choose one of {', '.join(MODELS)}")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    record = find_run(name)
    base = open_run_artifact(record, "pretrain")
    adapters = [open_run_artifact(record, stage) for stage in _adapters(record)[: MODELS.index(model)]]
    speaker = _Speaker(base, adapters, temperature, max_new_tokens)
    if prompt is not None:
        print(speaker.answer([{"role": "user", "content": prompt}]))
        return
    print(f"{record.run}, {model} model. Every line is a new prompt; an empty line ends.", file=sys.stderr)
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            break
        if not line:
            break
        print(speaker.answer([{"role": "user", "content": line}]))
    print("next: plumbline report", file=sys.stderr)


def _adapters(record: RunRecord) -> list[str]:
    """The stages whose adapters make the aligned model out of the base."""
    made = {row["name"] for row in record.stages}
    return ["finetune", "trl" if "trl" in made else "ppo"]


class _Speaker:
    def __init__(self, base: Path, adapters: list[Path], temperature: float, max_new_tokens: int) -> None:
        import torch

        from tasks.chat import end_ids, load_tokenizer
        from tasks.models import load_chat_model

        self.tokenizer = load_tokenizer(adapters[0] if adapters else base)
        self.model = load_chat_model(base, *adapters)
        self.ends = end_ids(self.tokenizer)
        self.temperature, self.max_new_tokens = temperature, max_new_tokens
        self.generator = torch.Generator().manual_seed(0)

    def answer(self, messages: list[dict[str, str]]) -> str:
        from tasks.chat import decode_answer, encode_prompt
        from tasks.sampling import generate

        ids = generate(
            self.model,
            [encode_prompt(self.tokenizer, messages)],
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            end_ids=self.ends,
            pad_id=self.tokenizer.pad_token_id,
            generator=self.generator,
        )
        return decode_answer(self.tokenizer, ids[0])
