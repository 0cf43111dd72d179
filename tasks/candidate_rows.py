"""Answers to a prompt that nobody has ranked yet: the row that candidates writes, rank and people read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.failures import BadData

NAME = "candidates.parquet"
SCHEMA = pa.schema(
    [
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("candidates", pa.list_(pa.string())),
        ("seed", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Candidates:
    """One prompt and its K sampled answers, equal ones included. seed: of the random numbers they came from."""

    prompt: list[dict[str, str]]
    answers: list[str]
    seed: int

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
    rows = [{"prompt": item.prompt, "candidates": item.answers, "seed": item.seed} for item in items]
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
    return [Candidates(row["prompt"], row["candidates"], row["seed"]) for row in rows]


def count(items: list[Candidates]) -> dict[str, int]:
    """prompts, answers, distinct answers, and prompts that stand alone: all their answers are the same."""
    return {
        "prompts": len(items),
        "answers": sum(len(item.answers) for item in items),
        "distinct": sum(len(item.distinct) for item in items),
        "alone": sum(len(item.distinct) < 2 for item in items),
    }
