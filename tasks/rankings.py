"""Rankings of K answers to a prompt: the row that rank writes and reward reads, its pairs, the length baseline."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from math import inf
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.failures import BadData

Split = Literal["train", "heldout"]
Messages = list[dict[str, str]]
RANKING = pa.struct(
    [
        ("ranks", pa.list_(pa.int32())),
        ("annotator", pa.string()),
        ("origin", pa.string()),
        ("ratings", pa.list_(pa.float64())),
        ("shown", pa.list_(pa.int32())),
        ("all_bad", pa.bool_()),
        ("axes", pa.map_(pa.string(), pa.list_(pa.int32()))),
        ("comment", pa.string()),
        ("seconds", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("candidates", pa.list_(pa.string())),
        ("models", pa.list_(pa.string())),
        ("rankings", pa.list_(RANKING)),
    ]
)


@dataclass(frozen=True)
class Ranking:
    """How one annotator ordered the candidates of a prompt. Every list is parallel to the candidates.

    ranks: 1 is best, equal ranks are ties, 0 is a candidate that this annotator did not rank.
    annotator: a name, empty when unknown. origin: where the ranking comes from (a file, people, rubric, judge:MODEL).
    ratings: higher is better; empty without. shown: the place, from 0, at which each candidate stood; empty when
    unknown. all_bad: none of them is any good. axes: marks by the name of the axis, None where none was given.
    seconds: time that the annotator took, None when unknown.
    """

    ranks: list[int]
    annotator: str = ""
    origin: str = ""
    ratings: list[float] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    all_bad: bool = False
    axes: dict[str, list[int | None]] = field(default_factory=dict)
    comment: str = ""
    seconds: float | None = None

    @classmethod
    def of(cls, places: Iterable[float | None], **about: Any) -> "Ranking":
        """From numbers of which the smallest is best, counted from anything; None is a candidate without a rank."""
        given = list(places)
        order = sorted({place for place in given if place is not None})
        return cls([0 if place is None else order.index(place) + 1 for place in given], **about)

    def take(self, chosen: list[int]) -> "Ranking":
        """The same ranking of some of the candidates, by their numbers, its ranks counted from 1 without gaps."""
        return replace(
            self,
            ranks=Ranking.of(self.ranks[number] or None for number in chosen).ranks,
            ratings=[self.ratings[number] for number in chosen] if self.ratings else [],
            shown=[self.shown[number] for number in chosen] if self.shown else [],
            axes={axis: [marks[number] for number in chosen] for axis, marks in self.axes.items()},
        )


@dataclass(frozen=True)
class RankedPrompt:
    """One prompt, its K different candidates, and one ranking of them an annotator.

    models: what wrote each candidate; empty when unknown.
    """

    prompt: Messages
    candidates: list[str]
    rankings: list[Ranking]
    models: list[str] = field(default_factory=list)

    @property
    def ranks(self) -> list[list[int]]:
        """The ranks of every ranking."""
        return [ranking.ranks for ranking in self.rankings]

    @property
    def prompt_key(self) -> str:
        """The prompt as one text; prompts with equal keys are the same prompt."""
        return prompt_key(self.prompt)

    @property
    def split_key(self) -> str:
        """The prompt with every run of white space as one blank: the same prompt in files of two layouts is one."""
        return prompt_key([{**turn, "content": " ".join(turn["content"].split())} for turn in self.prompt])

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the prompt and the set of its candidates, whatever their order."""
        content = json.dumps([self.prompt_key, sorted(self.candidates)], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def prompt_key(prompt: Messages) -> str:
    """A prompt as one text, for comparison."""
    return json.dumps([[turn["role"], turn["content"]] for turn in prompt], ensure_ascii=False)


def ranked_prompt(
    prompt: Messages, candidates: list[str], rankings: Iterable[Ranking], models: Iterable[str] = ()
) -> RankedPrompt:
    """Keep one of identical candidates, the one with the better rank, and count ranks from 1 without gaps.

    Raises ValueError when fewer than two different candidates are left.
    """
    kept, wrote = list(dict.fromkeys(candidates)), list(models)
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} different candidates, a ranking needs 2")
    same = {text: [number for number, other in enumerate(candidates) if other == text] for text in kept}

    def merge(ranking: Ranking) -> Ranking:
        # An unranked copy says nothing: it is behind every ranked one
        return ranking.take([min(same[text], key=lambda number: ranking.ranks[number] or inf) for text in kept])

    return RankedPrompt(prompt, kept, [merge(r) for r in rankings], [wrote[same[t][0]] for t in kept] if wrote else [])


def merge_rankings(items: Iterable[RankedPrompt]) -> tuple[list[RankedPrompt], int]:
    """One item for each prompt with the same set of candidates, in the order of first appearance.

    All rankings are kept, those of different annotators and origins even when they are equal; a ranking that repeats
    everything, annotator included, is counted as a duplicate and left out. Of a known annotator's rankings of one
    origin the last counts; of comparisons of two among more candidates, the last of the same two. Returns the items
    and the number of rankings that were left out.
    """
    first: dict[str, RankedPrompt] = {}
    kept: dict[str, dict[tuple[str, ...], Ranking]] = {}
    left_out = 0
    for item in items:
        head = first.setdefault(item.id, item)
        places = [item.candidates.index(text) for text in head.candidates]
        for ranking in item.rankings:
            found = ranking.take(places)
            # Rankings without a name may be many people's: only those that are the same in full are one
            who = (found.origin, found.annotator, _compared(found)) if found.annotator else (found.origin, repr(found))
            left_out += who in kept.setdefault(item.id, {})
            kept[item.id][who] = found
    return [replace(item, rankings=list(kept[key].values())) for key, item in first.items()], left_out


def _compared(ranking: Ranking) -> str:
    """The two that are compared, where they are two of more candidates: such a comparison replaces no other one."""
    ranked = [number for number, rank in enumerate(ranking.ranks) if rank]
    return str(ranked) if len(ranked) == 2 < len(ranking.ranks) else ""


def pairs(ranking: list[int]) -> list[tuple[int, int]]:
    """(better, worse) candidate numbers of one ranking. A tied pair gives no pair, nor does one that is not ranked."""
    both = combinations([number for number, rank in enumerate(ranking) if rank], 2)
    return [(i, j) if ranking[i] < ranking[j] else (j, i) for i, j in both if ranking[i] != ranking[j]]


def tied_pairs(ranking: list[int]) -> int:
    """How many pairs of candidates one ranking holds to be equal."""
    return sum(first == second for first, second in combinations([rank for rank in ranking if rank], 2))


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
    rows = [{"id": item.id, **asdict(item)} for item in items]
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
        if any(row[name] is None for name in SCHEMA.names) or not row["rankings"] or None in row["rankings"]:
            raise BadData(f"{path.name}: row {number} lacks one of {', '.join(SCHEMA.names)}")
        count = len(row["candidates"])
        rankings = [Ranking(**{**ranking, "axes": dict(ranking["axes"] or [])}) for ranking in row["rankings"]]
        for ranking in rankings:
            lists: list[list[Any]] = [ranking.ratings, ranking.shown, *ranking.axes.values()]
            if len(ranking.ranks) != count or any(len(values) not in (0, count) for values in lists):
                raise BadData(f"{path.name}: row {number} has {count} candidates and the ranking {ranking}")
        yield RankedPrompt(row["prompt"], row["candidates"], rankings, row["models"])
