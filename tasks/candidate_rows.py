"""Answers to a prompt that nobody has ranked yet: the row that candidates writes, rank and people read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.failures import BadData

NAME = "candidates.parquet"
SAMPLED = pa.struct(
    [
        ("model", pa.string()),
        ("seed", pa.int64()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("top_k", pa.int32()),
        ("tokens", pa.int32()),
        ("finished", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("candidates", pa.list_(pa.string())),
        ("seed", pa.int64()),
        ("sampled", pa.list_(SAMPLED)),
    ]
)


@dataclass(frozen=True)
class Sampled:
    """How one answer came about. seed: of its random numbers. tokens: without the end token. finished: it ended by
    itself, before the longest length.
    """

    model: str
    seed: int
    temperature: float
    top_p: float
    top_k: int
    tokens: int
    finished: bool


@dataclass(frozen=True)
class Candidates:
    """One prompt and its K sampled answers, equal ones included. seed: of the first answer's random numbers.

    sampled: how each answer came about; empty in artifacts made before it was recorded.
    """

    prompt: list[dict[str, str]]
    answers: list[str]
    seed: int
    sampled: list[Sampled] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """What wrote each answer; empty when unknown."""
        return [one.model for one in self.sampled]

    @property
    def distinct(self) -> list[str]:
        """The different answers, in the order in which they came."""
        return list(dict.fromkeys(self.answers))

    @property
    def text(self) -> str:
        """The last turn of the prompt."""
        return self.prompt[-1]["content"]


def write_candidates(folder: Path, items: Iterable[Candidates]) -> None:
    """Write ``folder/candidates.parquet`` (zstd); the same items give the same bytes."""
    rows = [
        {
            "prompt": item.prompt,
            "candidates": item.answers,
            "seed": item.seed,
            "sampled": [asdict(one) for one in item.sampled],
        }
        for item in items
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, folder / NAME, compression="zstd", compression_level=3)


def read_candidates(folder: Path) -> list[Candidates]:
    """Items of a candidates artifact in order. Raises BadData when the file is missing or damaged."""
    path = folder / NAME
    if not path.is_file():
        raise BadData(f"the candidates have no {NAME}: this is not the output of the candidates stage")
    try:
        rows: list[dict[str, Any]] = pq.read_table(path, schema=SCHEMA).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{NAME}: not a sound Parquet file of candidates ({error})") from error
    return [
        Candidates(row["prompt"], row["candidates"], row["seed"], [Sampled(**one) for one in row["sampled"] or []])
        for row in rows
    ]


def count(items: list[Candidates]) -> dict[str, int]:
    """prompts, answers, distinct answers, and prompts that stand alone: all their answers are the same."""
    return {
        "prompts": len(items),
        "answers": sum(len(item.answers) for item in items),
        "distinct": sum(len(item.distinct) for item in items),
        "alone": sum(len(item.distinct) < 2 for item in items),
    }
