"""Shards of a corpus: round trip, same bytes, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tasks.corpus_shards import read_shards, write_shards
from tasks.failures import BadData


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"d{n}",
            "text": f"文 {n}\n<|endoftext|>",
            "source": "s",
            "language": "en",
            "metadata": {"nats": n / 3, "z": [1]},
        }
        for n in range(count)
    ]


def test_round_trip_over_shards(tmp_path: Path) -> None:
    assert write_shards(tmp_path, "train", iter(rows(25)), shard_documents=10) == 25
    assert [path.name for path in sorted((tmp_path / "train").iterdir())] == [
        "00000.parquet",
        "00001.parquet",
        "00002.parquet",
    ]
    assert list(read_shards(tmp_path, "train")) == rows(25)


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shards(tmp_path / name, "heldout", rows(12), shard_documents=5)
    for shard in (tmp_path / "one" / "heldout").iterdir():
        assert shard.read_bytes() == (tmp_path / "two" / "heldout" / shard.name).read_bytes()


def test_no_rows_make_one_empty_shard(tmp_path: Path) -> None:
    assert write_shards(tmp_path, "heldout", [], shard_documents=5) == 0
    assert list(read_shards(tmp_path, "heldout")) == []


def test_a_folder_without_shards_and_a_damaged_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no train/\*\.parquet"):
        list(read_shards(tmp_path, "train"))
    write_shards(tmp_path, "train", rows(3), shard_documents=5)
    shard = tmp_path / "train" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(BadData, match=r"train/00000\.parquet"):
        list(read_shards(tmp_path, "train"))
