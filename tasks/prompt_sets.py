"""Prompts to train on and prompts to measure on, encoded."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from transformers import PreTrainedTokenizerBase

from configs.schema.sources import PromptSource
from tasks.chat import encode_prompt, user
from tasks.failures import BadConfig, BadData
from tasks.formats import read_rows
from tasks.inputs import Inputs
from tasks.prompts import prompt_text
from tasks.randomness import permutation

Messages = list[dict[str, str]]


class PromptSettings(Protocol):
    """What the settings of a stage that answers prompts say of them."""

    @property
    def prompts(self) -> PromptSource: ...
    @property
    def heldout(self) -> PromptSource | None: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def max_prompt_tokens(self) -> int: ...
    @property
    def max_new_tokens(self) -> int: ...


@dataclass(frozen=True)
class Prompt:
    """A prompt and its token ids, ready to be answered.

    ``messages``: the conversation, when the prompt was given as one; ``text`` is then its last turn.
    ``columns``: what else its row holds, for reward functions. ``continued``: the text is no turn of a chat, the answer
    goes on where it ends, blanks included.
    """

    text: str
    ids: list[int]
    messages: Messages | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    continued: bool = False

    @property
    def turns(self) -> Messages:
        """The conversation that is to be answered; a text is one user turn."""
        return user(self.text) if self.messages is None else self.messages


@dataclass(frozen=True)
class PromptSets:
    """Disjoint by text. ``left_out`` counts prompts longer than the limit."""

    train: list[Prompt]
    heldout: list[Prompt]
    left_out: int


def load_prompts(
    config: PromptSettings,
    inputs: Inputs,
    tokenizer: PreTrainedTokenizerBase,
    positions: int | None,
    stage: str = "ppo",
) -> PromptSets:
    """Read, split, encode, and leave out what is too long. ``stage`` names the settings in messages.

    ``positions``: longest sequence of the model, None without a limit. Raises BadConfig when the settings do not
    fit it, and BadData when no prompt is left.
    """
    assert config.seed is not None
    if positions is not None and config.max_prompt_tokens + config.max_new_tokens > positions:
        raise BadConfig(
            f"{stage}.max_prompt_tokens={config.max_prompt_tokens} + {stage}.max_new_tokens={config.max_new_tokens} "
            f"exceed the model's {positions} positions; lower one of them"
        )
    train = _read(config.prompts, inputs.sources[config.prompts.path])
    if config.heldout is not None:
        heldout = _read(config.heldout, inputs.sources[config.heldout.path])
    else:
        first: dict[str, Prompt] = {}
        for prompt in train:
            first.setdefault(_key(prompt), prompt)
        distinct = list(first.values())
        order = permutation(len(distinct), config.seed, "heldout")
        heldout = [distinct[i] for i in order[: max(1, len(distinct) // 10)]]
    measured = {_key(prompt) for prompt in heldout}
    train = [prompt for prompt in train if _key(prompt) not in measured]
    kept_train, kept_heldout = (_encode(part, tokenizer, config.max_prompt_tokens) for part in (train, heldout))
    for name, kept in (("prompts", kept_train), ("heldout", kept_heldout)):
        if not kept:
            raise BadData(
                f"{stage}.{name}: no prompt is left: each is longer than {stage}.max_prompt_tokens="
                f"{config.max_prompt_tokens}, or held out; raise the limit or name more prompts"
            )
    return PromptSets(kept_train, kept_heldout, len(train) + len(heldout) - len(kept_train) - len(kept_heldout))


def _encode(prompts: list[Prompt], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[Prompt]:
    encoded = [replace(prompt, ids=encode_prompt(tokenizer, prompt.turns)) for prompt in prompts]
    return [prompt for prompt in encoded if len(prompt.ids) <= limit]


def _key(prompt: Prompt) -> str:
    """Prompts with one key are the same prompt."""
    return repr(prompt.turns)


def _read(source: PromptSource, files: list[Path]) -> list[Prompt]:
    """Prompts in the order of the files and lines, not yet encoded. Raises BadData with file and line."""
    rows = ((f"{file.name}:{line}", row, error) for file in files for line, row, error in read_rows(file, "auto"))
    chosen = islice(
        rows, source.skip_rows, None if source.max_prompts is None else source.skip_rows + source.max_prompts
    )
    prompts = list(_prompts(source, chosen))
    if not prompts:
        names = ", ".join(file.name for file in files) or source.path
        raise BadData(f"{names}: no prompts; name another file in the `path` of the prompts")
    return prompts


def _prompts(source: PromptSource, rows: Iterator[tuple[str, dict[str, Any] | None, str]]) -> Iterator[Prompt]:
    for where, row, error in rows:
        if row is None:
            raise BadData(f"{where}: {error}; correct or delete the line")
        columns = {name: value for name, value in row.items() if name != source.field}
        given = row.get(source.field)
        if is_conversation(given):
            yield Prompt(given[-1]["content"], [], given, columns)
            continue
        text = prompt_text(row, source.field)
        if text is None:
            keys = ", ".join(sorted(row)) or "none"
            raise BadData(
                f"{where}: no text and no messages under {source.field!r} (keys: {keys}); set `field` of the prompts"
            )
        yield Prompt(text, [], None, columns)


def is_conversation(value: Any) -> TypeGuard[Messages]:
    """True for a list of messages with role and content, the last one not the assistant's."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in value)
        and value[-1].get("role") != "assistant"
    )
