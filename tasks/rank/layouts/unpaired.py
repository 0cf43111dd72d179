"""Answers judged one by one, as KTO reads them: desirable or not (Ethayarajh et al. 2024)."""

from collections.abc import Iterator

from tasks.rank.layouts.conversation import answer, ends_with_user, messages, opening, prompt_of
from tasks.rank.layouts.gather import good_and_bad
from tasks.rank.layouts.item import Layout, Row, Unpaired, has


def fits(row: Row) -> bool:
    """A label, and an answer to a prompt or a conversation that ends with one."""
    return has(row, "label") and (has(row, "messages") or has(row, "conversations") or has(row, "prompt", "completion"))


def read(row: Row, origin: str) -> Iterator[Unpaired]:
    """{"messages" or "conversations", "label"}, or TRL's {"prompt", "completion", "label"}. Raises ValueError."""
    label = row.get("label")
    if not isinstance(label, bool):
        raise ValueError(f"`label` is neither true nor false: {label!r:.40}")
    if has(row, "completion"):
        said = row["completion"]
        if isinstance(said, list):
            turns = messages(said, "completion")
            if len(turns) != 1 or turns[0]["role"] != "assistant":
                raise ValueError("`completion` is not one assistant turn")
            said = turns[0]["content"]
        yield Unpaired(prompt_of(row, "prompt"), answer(said, "completion"), label)
        return
    key = "messages" if has(row, "messages") else "conversations"
    turns = messages(row.get(key), key)
    if turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise ValueError(f"`{key}` does not end with an answer of the assistant")
    yield Unpaired(ends_with_user(opening(row, turns[:-1]), key), turns[-1]["content"], label)


LAYOUT = Layout(fits, read, gather=good_and_bad)
