"""The index of evaluation items, and which of a batch of documents overlap them.

N-gram overlap as in Brown et al. 2020 (GPT-3, appendix C): 13 words, shorter items as a whole
and n-grams that many items share left out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.schema.contamination import ContaminationConfig
from tasks.corpus.contamination.items import read_items
from tasks.corpus.contamination.ngrams import (
    Passages,
    Table,
    anchors_of,
    begins_of,
    grams_of,
    passages_of,
    table_of,
    without_common,
)
from tasks.corpus.contamination.words import folded_words
from tasks.corpus.neardup.hashing import VERSION
from tasks.corpus.neardup.portable import word_places
from tasks.corpus.neardup.texts import buffers, from_strings, path_for, pieces
from tasks.failures import BadData

SHOWN = 400  # characters of a span that a hit carries
ROOM = 1 << 14  # n-grams found in a batch for which there is room at first
Key = tuple[str, str]  # name of a set, id of an item


@dataclass(frozen=True, slots=True)
class Hit:
    """A contaminated document: the item that it holds most of, and where.

    text: the longest run of its words in the document, text[start:end] of it in characters, cut to `SHOWN`.
    ngrams, share: different n-grams of the item in the document, and of all that it has. found: all items that
    the document is contaminated with, as (set, item).
    """

    set: str
    item: str
    text: str
    start: int
    end: int
    ngrams: int
    share: float
    found: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What of a set is searched for.

    too_short: ids of items without an n-gram. common: ids of items that common n-grams alone make up.
    ngrams, common_ngrams: different n-grams that are searched for, and left out.
    """

    name: str
    items: int
    ngrams: int
    common_ngrams: int
    too_short: list[str]
    common: list[str]


class Index:
    """Evaluation items to look for in documents. Read-only: processes may share its files."""

    def __init__(
        self, sets: list[SetFacts], items: list[str], passages: pa.Array, table: Table, rule: tuple[int, float]
    ) -> None:
        self.sets = sets
        self.items = items
        self.passages = passages
        self.table = table
        self.min_ngrams, self.min_share = rule
        self._ends = np.cumsum([one.items for one in sets])
        self._totals = np.bincount(table.items, minlength=len(items))
        self._words: dict[int, list[str]] = {}  # of passages that were met
        self._seen = 0

    def save(self, folder: Path) -> None:
        """Write the index to an empty folder."""
        facts = {
            "version": VERSION,
            "rule": [self.min_ngrams, self.min_share],
            "sets": [asdict(one) for one in self.sets],
            "items": self.items,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
        batch = pa.record_batch({"text": self.passages})
        with pa.OSFile(str(folder / "passages.arrow"), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        self.table.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """An index that `save` wrote, mapped into memory. Raises BadData when it is of another version."""
        facts: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if facts["version"] != VERSION:
            raise BadData(f"{folder.name}: index of version {facts['version']}, not {VERSION}; build it again")
        with pa.memory_map(str(folder / "passages.arrow")) as file:
            passages = pa.ipc.open_file(file).read_all()["text"].combine_chunks()
        sets = [SetFacts(**one) for one in facts["sets"]]
        count, share = facts["rule"]
        return cls(sets, facts["items"], passages, Table.load(folder), (count, share))

    def check(self, texts: pa.Array) -> list[Hit | None]:
        """For each text the evaluation item that it overlaps most, or None."""
        hits: list[Hit | None] = [None] * len(texts)
        found = self._runs(texts)
        bounds = np.flatnonzero(np.diff(found[0], prepend=-1, append=-1))
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            document = int(found[0, begin])
            hits[document] = self._hit(texts[document].as_py(), found[1, begin:end], found[2, begin:end])
        return hits

    def _runs(self, texts: pa.Array) -> NDArray[np.int64]:
        """[3, n]: document, first word and n-gram of each run of words with the key of an n-gram."""
        data, offsets = buffers(texts)
        self._seen += int(offsets[-1] - offsets[0])
        path, table = path_for(self._seen), self.table
        parts = [np.zeros((3, 0), dtype=np.int64)]
        for start, end in pieces(offsets, path):
            room = ROOM
            while True:
                found = np.empty((3, room), dtype=np.int64)
                count = path.find_runs(
                    data, offsets[start : end + 1], table.sizes, table.bits, table.buckets, table.keys, found
                )
                if count <= room:
                    break
                room = count
            found[0, :count] += start
            parts.append(found[:, :count])
        return np.concatenate(parts, axis=1)

    def _hit(self, text: str, places: NDArray[np.int64], entries: NDArray[np.int64]) -> Hit | None:
        """What the runs of one document amount to, once their words are compared."""
        words = folded_words(text)
        lengths = self.table.lengths
        sure: dict[int, list[int]] = {}  # n-gram → first words of its runs
        for place, entry in zip(places.tolist(), entries.tolist(), strict=True):
            if words[place : place + int(lengths[entry])] == self._ngram(entry):
                sure.setdefault(entry, []).append(place)
        of_item: dict[int, list[int]] = {}
        for entry in sure:
            for item in self.table.items[self.table.starts[entry] : self.table.starts[entry + 1]].tolist():
                of_item.setdefault(item, []).append(entry)
        counted = {item: len(own) for item, own in of_item.items() if self._enough(item, len(own))}
        if not counted:
            return None
        best = min(counted, key=lambda item: (-counted[item], -counted[item] / self._totals[item], item))
        runs = sorted((place, place + int(lengths[entry])) for entry in of_item[best] for place in sure[entry])
        first, last = _longest(runs)
        starts, ends = word_places(text)
        start, end = int(starts[first]), int(ends[last - 1])
        set_, item = self.key(best)
        return Hit(
            set_,
            item,
            text[start : min(end, start + SHOWN)],
            start,
            end,
            counted[best],
            counted[best] / int(self._totals[best]),
            tuple(self.key(item) for item in sorted(counted)),
        )

    def _enough(self, item: int, count: int) -> bool:
        total = int(self._totals[item])
        return count >= min(self.min_ngrams, total) and count >= self.min_share * total

    def _ngram(self, entry: int) -> list[str]:
        """Words of an n-gram."""
        passage, word = int(self.table.passages[entry]), int(self.table.words[entry])
        words = self._words.get(passage)
        if words is None:
            words = self._words[passage] = folded_words(self.passages[passage].as_py())
        return words[word : word + int(self.table.lengths[entry])]

    def key(self, item: int) -> Key:
        """Name of the set and id of an item, by its number."""
        return self.sets[int(np.searchsorted(self._ends, item, side="right"))].name, self.items[item]


def build_index(config: ContaminationConfig, files: Mapping[str, list[Path]]) -> Index:
    """The index of all sets; files: by each set's path setting.

    Raises BadData for a set that cannot be read, has no items, or leaves nothing to search for.
    """
    if not config.sets:
        raise BadData("contamination.sets is empty: there is nothing to search for")
    facts: list[SetFacts] = []
    ids: list[str] = []
    parts, passages = [], list[Passages]()
    for one in config.sets:
        items = read_items(one, files.get(one.path, []))
        own = passages_of(items, len(ids), config, one.ngram)
        grams = grams_of(own, sum(len(part.texts) for part in passages))
        kept, dropped = without_common(grams, config.common)
        names = [item.id for item in items]
        short = np.setdiff1d(np.arange(len(items)), grams.items - len(ids))
        common = np.setdiff1d(np.unique(grams.items), kept.items) - len(ids)
        if not len(kept.keys):
            raise BadData(
                f"evaluation set {one.name!r}: none of its {len(items)} items can be searched for: {len(short)} have "
                f"fewer than shortest={config.shortest} words (shortest_characters={config.shortest_characters}), "
                f"{len(common)} are made of n-grams that more than common={config.common} items share; set `fields` "
                f"of the set, `shortest` or `common`"
            )
        different = len(begins_of(kept.keys))
        facts.append(SetFacts(one.name, len(items), different, dropped, _chosen(names, short), _chosen(names, common)))
        ids += names
        parts.append(kept)
        passages.append(own)
    least = int(min(part.sizes.min() for part in parts))
    anchors, texts = [], list[str]()
    for part, own in zip(parts, passages, strict=True):
        anchors.append(anchors_of(own, part, len(texts), least))
        texts += own.texts
    return Index(facts, ids, from_strings(texts), table_of(parts, anchors), (config.min_ngrams, config.min_share))


def _chosen(names: list[str], places: Iterable[int]) -> list[str]:
    return [names[place] for place in places]


def _longest(runs: list[tuple[int, int]]) -> tuple[int, int]:
    """The first of the longest stretches that overlapping or touching runs (sorted) make up."""
    best = current = runs[0]
    for start, end in runs[1:]:
        current = (current[0], max(current[1], end)) if start <= current[1] else (start, end)
        if current[1] - current[0] > best[1] - best[0]:
            best = current
    return best
