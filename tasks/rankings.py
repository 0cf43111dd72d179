"""Rankings of K answers to a prompt: the row that rank writes and reward reads, its pairs, the length baseline."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.failures import BadData

Split = Literal["train", "heldout"]
Messages = list[dict[str, str]]
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("candidates", pa.list_(pa.string())),
        ("ranks", pa.list_(pa.list_(pa.int32()))),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class RankedPrompt:
    """One prompt, its K candidates, and one ranking of them an annotator: 1 is best, equal ranks are ties."""

    prompt: Messages
    candidates: list[str]
    ranks: list[list[int]]
    source: str

    @property
    def prompt_key(self) -> str:
        """The prompt as one text; prompts with equal keys are the same prompt."""
        return prompt_key(self.prompt)

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of prompt, candidates and ranks."""
        content = json.dumps([self.prompt_key, self.candidates, self.ranks], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def prompt_key(prompt: Messages) -> str:
    """A prompt as one text, for comparison."""
    return json.dumps([[turn["role"], turn["content"]] for turn in prompt], ensure_ascii=False)


def ranked_prompt(prompt: Messages, candidates: list[str], ranks: list[list[int]], source: str) -> RankedPrompt:
    """Merge identical candidates, which keep the better rank, and count ranks from 1 without gaps.

    Raises ValueError when fewer than two different candidates are left.
    """
    kept = list(dict.fromkeys(candidates))
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} different candidates, a ranking needs 2")
    merged = []
    for ranking in ranks:
        best = {text: min(r for r, c in zip(ranking, candidates, strict=True) if c == text) for text in kept}
        order = sorted(set(best.values()))
        merged.append([order.index(best[text]) + 1 for text in kept])
    return RankedPrompt(prompt, kept, merged, source)


def pairs(ranking: list[int]) -> list[tuple[int, int]]:
    """(better, worse) candidate numbers of one ranking. A tied pair gives no pair."""
    both = combinations(range(len(ranking)), 2)
    return [(i, j) if ranking[i] < ranking[j] else (j, i) for i, j in both if ranking[i] != ranking[j]]


def tied_pairs(ranking: list[int]) -> int:
    """How many pairs of candidates one ranking holds to be equal."""
    return sum(first == second for first, second in combinations(ranking, 2))


def pair_accuracy(items: Iterable[RankedPrompt], scores: Iterable[list[float]]) -> tuple[float, int]:
    """Share of pairs whose better candidate has the higher score, and the number of pairs.

    Ties in a ranking are left out; equal scores count half. Each annotator's pairs count. (nan, 0) without pairs.
    """
    right, total = 0.0, 0
    for item, row in zip(items, scores, strict=True):
        for ranking in item.ranks:
            for better, worse in pairs(ranking):
                right += 0.5 if row[better] == row[worse] else float(row[better] > row[worse])
                total += 1
    return (right / total if total else float("nan")), total


def longer_wins(items: Iterable[RankedPrompt]) -> float:
    """Share of pairs in which the longer answer, in characters, is the better one; equal lengths count half."""
    rows = list(items)
    return pair_accuracy(rows, [[float(len(text)) for text in item.candidates] for item in rows])[0]


def length_baseline(items: Iterable[RankedPrompt]) -> float:
    """Pair accuracy of the better of two rules that read nothing: the longer wins, or the shorter wins."""
    share = longer_wins(items)
    return max(share, 1.0 - share)


def write_rankings(folder: Path, split: Split, items: Iterable[RankedPrompt]) -> None:
    """Write ``folder/split.parquet`` (zstd); the same items give the same bytes."""
    rows = [
        {"id": i.id, "prompt": i.prompt, "candidates": i.candidates, "ranks": i.ranks, "source": i.source}
        for i in items
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, folder / f"{split}.parquet", compression="zstd", compression_level=3)


def read_rankings(folder: Path, split: Split) -> list[RankedPrompt]:
    """Items of a rankings artifact in order. Raises BadData when the file is missing, damaged or contradictory."""
    path = folder / f"{split}.parquet"
    if not path.is_file():
        raise BadData(f"the rankings have no {path.name}: this is not the output of the rank stage")
    try:
        rows = pq.read_table(path, schema=SCHEMA).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path.name}: not a sound Parquet file of rankings ({error})") from error
    return list(_checked(path, rows))


def _checked(path: Path, rows: list[dict[str, Any]]) -> Iterator[RankedPrompt]:
    for number, row in enumerate(rows, start=1):
        if any(row[name] is None for name in SCHEMA.names):
            raise BadData(f"{path.name}: row {number} lacks one of {', '.join(SCHEMA.names)}")
        count = len(row["candidates"])
        if not row["ranks"] or any(len(ranking) != count for ranking in row["ranks"]):
            raise BadData(f"{path.name}: row {number} has {count} candidates and ranks {row['ranks']}")
        yield RankedPrompt(row["prompt"], row["candidates"], row["ranks"], row["source"])
