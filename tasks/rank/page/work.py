"""What there is to rank, and who is given what next. Pure, apart from the reading of the sheet."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.failures import BadData
from tasks.formats import read_rows
from tasks.rank.own import read_own
from tasks.rankings import Messages, prompt_key

DIGITS = 16


@dataclass(frozen=True)
class Item:
    """A prompt and its candidates, as they stand on the sheet."""

    prompt: Messages
    candidates: list[str]

    @property
    def id(self) -> str:
        """16 hex digits of the SHA-256 of prompt and candidates."""
        content = json.dumps([self.prompt, self.candidates], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:DIGITS]


@dataclass(frozen=True)
class Standing:
    """Who has done what. done: rankings an item; held: others who have it before them; mine: what I am done with."""

    done: Counter[str]
    held: Counter[str]
    mine: frozenset[str]
    begun: frozenset[str] = frozenset()  # shown to me, not submitted


def read_items(sheet: Path) -> dict[str, Item]:
    """Items of a sheet by id, in its order. Raises BadData that names the line, or says that nothing is there."""
    found: dict[str, Item] = {}
    for line, row, error in read_rows(sheet):
        if row is None:
            raise BadData(f"{sheet}:{line}: {error}")
        try:
            blank = row | {"ranks": [1] * len(row.get("candidates") or [])}
            ranking = read_own(blank, "")
        except (ValueError, TypeError) as problem:
            raise BadData(f"{sheet}:{line}: {problem}") from problem
        item = Item(ranking.prompt, ranking.candidates)
        found[item.id] = item
    if not found:
        raise BadData(f"{sheet}: nothing to rank; sample more prompts (candidates.prompts)")
    return found


def complete(items: Mapping[str, Item], done: Counter[str], overlap: int) -> int:
    """Prompts that enough annotators have ranked. One that is sampled twice is two items, and counts once, as in the
    target.
    """
    return len({prompt_key(items[item].prompt) for item, count in done.items() if count >= overlap})


def choose(items: Mapping[str, Item], standing: Standing, overlap: int, target: int) -> str | None:
    """What an annotator ranks next, in the order of the sheet; None when the target is in, or nothing is left.

    First what they had before them; then what too few have ranked or are ranking; then what others are still ranking.
    """
    if complete(items, standing.done, overlap) >= target:
        return None
    wanted = [item for item in items if item not in standing.mine and standing.done[item] < overlap]
    begun = [item for item in wanted if item in standing.begun]
    free = [item for item in wanted if standing.done[item] + standing.held[item] < overlap]
    late = sorted(wanted, key=lambda item: standing.held[item])
    return next(iter(begun + free + late), None)


def by_candidate(ordering: Sequence[int], values: Iterable[int | None]) -> list[int | None]:
    """Values by position on the page, put in the order of the sheet. ordering[p]: the candidate at position p."""
    placed: list[int | None] = [None] * len(ordering)
    for candidate, value in zip(ordering, values, strict=True):
        placed[candidate] = value
    return placed


def places(ordering: Sequence[int]) -> list[int]:
    """The place on the page of every candidate."""
    return [ordering.index(candidate) for candidate in range(len(ordering))]
