"""Anthropic's HH: two transcripts of Human and Assistant that differ in the last reply (Bai et al. 2022)."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.item import Layout, Lost, Row, has
from tasks.rank.layouts.losses import as_pairs, count_about
from tasks.rank.layouts.pairs import PROMPTS
from tasks.rankings import Messages, RankedPrompt, Ranking, ranked_prompt

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLE = {"Human": "user", "Assistant": "assistant"}
_SPEAKER = {role: speaker for speaker, role in _ROLE.items()}


def fits(row: Row) -> bool:
    """Two texts, and no prompt beside them."""
    return has(row, "chosen", "rejected") and isinstance(row["chosen"], str) and not any(has(row, k) for k in PROMPTS)


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """{"chosen", "rejected"}. Raises ValueError."""
    chosen, rejected = transcript(row.get("chosen"), "chosen"), transcript(row.get("rejected"), "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise ValueError("chosen and rejected have different prompts")
    texts = [chosen[-1]["content"], rejected[-1]["content"]]
    if not all(texts):
        raise ValueError(f"the last reply of {'chosen' if not texts[0] else 'rejected'} is empty")
    if any(not turn["content"] for turn in chosen[:-1]):
        raise ValueError("a turn of the prompt is empty")
    if texts[0] == texts[1]:
        raise ValueError("chosen and rejected are the same")
    yield ranked_prompt(chosen[:-1], texts, [Ranking([1, 2], origin=origin)])


def transcript(text: Any, key: str) -> Messages:
    """Turns of "\\n\\nHuman: …\\n\\nAssistant: …". Raises ValueError unless Human begins and Assistant ends it."""
    if not isinstance(text, str):
        raise ValueError(f"`{key}` is not a text")
    before, *rest = _TURN.split(text)
    if before.strip() or not rest or rest[0] != "Human":
        raise ValueError(f"`{key}` does not begin with a Human turn")
    turns = [
        {"role": _ROLE[speaker], "content": said.strip()} for speaker, said in zip(rest[::2], rest[1::2], strict=True)
    ]
    if turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise ValueError(f"`{key}` does not end with an Assistant turn")
    return turns


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """Two transcripts, a row a pair. What a transcript would not give back as it was is left out and counted."""
    count_about(item, lost)
    if any(turn["role"] == "system" for turn in item.prompt):
        lost["prompts with a system turn"] += 1
        return
    for _, better, worse in as_pairs(item, lost):
        sides = [
            [*item.prompt, {"role": "assistant", "content": item.candidates[number]}] for number in (better, worse)
        ]
        texts = ["".join(f"\n\n{_SPEAKER[turn['role']]}: {turn['content']}" for turn in turns) for turns in sides]
        if all(_gives_back(text, turns) for text, turns in zip(texts, sides, strict=True)):
            yield {"chosen": texts[0], "rejected": texts[1]}
        else:
            lost["pairs whose texts have blank ends or a speaker's mark"] += 1


def _gives_back(text: str, turns: Messages) -> bool:
    try:
        return transcript(text, "") == turns
    except ValueError:
        return False


LAYOUT = Layout(fits, read, write)
