"""Decontamination in the report: for each evaluation set what was searched for, what was found, and where."""

import heapq
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.corpus.contamination.find import Hit, Index

EXAMPLES = 20  # documents of each set that are shown


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """One dropped document, the item that it holds most of, and the span."""

    document: str
    source: str
    item: str
    start: int
    end: int
    text: str
    ngrams: int
    share: float


@dataclass
class Found:
    """What was found, of a part or of all of the corpus: parts may be merged in any order, with the same result.

    documents: dropped ones in all. by_set: by name of the set; a document that overlaps two sets counts in both.
    examples: the first by id of those whose best item is of the set.
    """

    documents: int = 0
    by_set: dict[str, int] = field(default_factory=dict)
    items: dict[str, set[str]] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, document: str, source: str, hit: Hit) -> None:
        """Count one document, by its id."""
        self.documents += 1
        for name in {name for name, _ in hit.found}:
            self.by_set[name] = self.by_set.get(name, 0) + 1
        for name, item in hit.found:
            self.items.setdefault(name, set()).add(item)
        example = Example(document, source, hit.item, hit.start, hit.end, hit.text, hit.ngrams, hit.share)
        self._show(hit.set, [example])

    def merge(self, other: "Found") -> None:
        """Add what another part found."""
        self.documents += other.documents
        for name, count in other.by_set.items():
            self.by_set[name] = self.by_set.get(name, 0) + count
        for name, items in other.items.items():
            self.items.setdefault(name, set()).update(items)
        for name, examples in other.examples.items():
            self._show(name, examples)

    def _show(self, name: str, examples: list[Example]) -> None:
        self.examples[name] = heapq.nsmallest(EXAMPLES, self.examples.get(name, []) + examples)

    def as_json(self) -> dict[str, Any]:
        """Plain values, equal for equal findings."""
        return {
            "documents": self.documents,
            "by_set": dict(sorted(self.by_set.items())),
            "items": {name: sorted(items) for name, items in sorted(self.items.items())},
            "examples": {name: [asdict(one) for one in shown] for name, shown in sorted(self.examples.items())},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Found":
        """What `as_json` made."""
        return cls(
            values["documents"],
            dict(values["by_set"]),
            {name: set(items) for name, items in values["items"].items()},
            {name: [Example(**one) for one in shown] for name, shown in values["examples"].items()},
        )


@dataclass(frozen=True, slots=True)
class SetReport:
    """One evaluation set; `dataclasses.asdict` gives plain JSON values.

    items: in the set. looked_for: those with an n-gram to search for. too_short, only_common: ids of the others.
    ngrams: different ones that were searched for. common_ngrams: left out, as more than ``common`` items have them.
    found: ids of items in the corpus. documents: dropped that overlap this set. examples: the first by id.
    """

    name: str
    items: int
    looked_for: int
    ngrams: int
    common_ngrams: int
    too_short: list[str]
    only_common: list[str]
    found: list[str]
    documents: int
    examples: list[Example]


def report(index: Index, found: Found) -> list[SetReport]:
    """For each set, in the order of the config."""
    return [
        SetReport(
            one.name,
            one.items,
            one.items - len(one.too_short) - len(one.common),
            one.ngrams,
            one.common_ngrams,
            one.too_short,
            one.common,
            sorted(found.items.get(one.name, ())),
            found.by_set.get(one.name, 0),
            found.examples.get(one.name, []),
        )
        for one in index.sets
    ]
