"""What a layout is, and what its reader hands on: ranked prompts, unpaired answers, flaws."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tasks.rankings import Messages, RankedPrompt

Row = dict[str, Any]
Lost = Counter[str]


@dataclass(frozen=True)
class Flaw:
    """A part of a row that cannot be used, while the rest of the row can: the reason."""

    error: str


@dataclass(frozen=True)
class Unpaired:
    """An answer that was judged by itself: desirable or not (Ethayarajh et al. 2024, KTO)."""

    prompt: Messages
    answer: str
    desirable: bool


@dataclass(frozen=True)
class Rejected:
    """A row, or a part of one, that gives no ranking. file: its name, without folders. line: from 1.

    error: the reason; what follows its first ": " belongs to this row alone.
    """

    file: str
    line: int
    error: str

    @property
    def reason(self) -> str:
        """The reason without what belongs to this row alone: what a histogram counts."""
        return self.error.partition(": ")[0]


Item = RankedPrompt | Unpaired | Flaw


@dataclass(frozen=True)
class Layout:
    """One way to write rankings as rows.

    fits: whether the keys of a row are those of this layout.
    read: everything in a row; the second argument is the origin of its rankings. Raises ValueError, with the reason,
    for a row that cannot be used at all.
    write: rows of one ranked prompt; what they cannot hold is counted. None for a layout that is only read.
    gather: what makes of the items of one file those that are handed on; it may hold them all. None for a layout
    whose rows stand alone: they are handed on one by one.
    """

    fits: Callable[[Row], bool]
    read: Callable[[Row, str], Iterator[Item]]
    write: Callable[[RankedPrompt, Lost], Iterator[Row]] | None = None
    gather: Callable[[Iterable[RankedPrompt | Unpaired]], Iterator[RankedPrompt | Unpaired]] | None = None


def has(row: Row, *keys: str) -> bool:
    """Whether the row has a value under each of the keys. Tables fill in null where another row has a value."""
    return all(row.get(key) is not None for key in keys)
