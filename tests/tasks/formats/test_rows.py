"""Rows of raw files: what is read, what is set aside with which line, what stops the stage."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.failures import BadData
from tasks.formats import file_format, read_file, read_rows


def test_json_lines_with_bad_rows_keep_their_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        b"\xef\xbb\xbf" + b'{"text": "one"}',
        b"",
        b'{"text": "two"',
        b'["three"]',
        b'{"text": "\xff"}',
        b'{"text": "\\ud83d"}',
        b'{"n": ' + b"9" * 5000 + b"}",
        '{"text": "七"}\r'.encode(),
        b'{"text": "\\ud83d\\ude00"}',
    ]
    path.write_bytes(b"\n".join(lines))
    rows = list(read_rows(path))
    assert [(line, values) for line, values, _ in rows] == [
        (1, {"text": "one"}),
        (3, None),
        (4, None),
        (5, None),
        (6, None),
        (7, None),
        (8, {"text": "七"}),
        (9, {"text": "😀"}),
    ]
    errors = {line: error for line, _, error in rows if error}
    assert errors[3].startswith("invalid JSON")
    assert errors[4] == "not a JSON object but list"
    assert errors[5] == "invalid UTF-8 at byte 10"
    assert "surrogate" in errors[6]
    assert "invalid JSON" in errors[7]


def test_deep_nesting_is_a_bad_row_and_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_bytes(b'{"a":' * 200_000 + b"\n" + b'{"text": "after"}\n')
    assert [values for _, values, _ in read_rows(path)] == [None, {"text": "after"}]


def test_gzip_is_transparent_and_positions_grow_to_the_size(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n{"text": "b"}\n'))
    rows = list(read_file(path))
    assert [row.values for row in rows] == [{"text": "a"}, {"text": "b"}]
    assert rows[-1].position == path.stat().st_size


@pytest.mark.parametrize("suffix", ["jsonl", "txt", "parquet"])
def test_truncated_gzip_names_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}.gz"
    whole = gzip.compress(b"".join(json.dumps({"text": str(n**9)}).encode() + b"\n" for n in range(3000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match=rf"cut\.{suffix}\.gz: the gzip file is truncated"):
        list(read_rows(path))


def test_damaged_and_missing_files_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl.gz").write_bytes(b'{"text": "not gzipped"}\n')
    (tmp_path / "plain.parquet").write_bytes(b"not parquet")
    for name in ("plain.jsonl.gz", "plain.parquet", "absent.jsonl"):
        with pytest.raises(BadData, match=name):
            list(read_rows(tmp_path / name))


def test_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("first\n\nsecond\n", encoding="utf-8")
    assert list(read_rows(tmp_path / "one.txt")) == [(1, {"text": "first\n\nsecond\n"}, "")]
    (tmp_path / "bad.txt").write_bytes(b"fine\nfine\n\xff\n")
    assert list(read_rows(tmp_path / "bad.txt")) == [(3, None, "invalid UTF-8 at byte 10")]


def test_parquet_rows_are_numbered_from_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", None, "c"], "id": [1, 2, 3]}), path)
    assert list(read_rows(path)) == [
        (1, {"text": "a", "id": 1}, ""),
        (2, {"text": None, "id": 2}, ""),
        (3, {"text": "c", "id": 3}, ""),
    ]


def test_format_of_the_suffix_and_of_the_setting() -> None:
    assert file_format(Path("a.JSONL.gz"), "auto") == "jsonl"
    assert file_format(Path("a.bin"), "txt") == "txt"
    with pytest.raises(BadData, match=r"a\.doc: suffix '\.doc'.*set `format`"):
        file_format(Path("a.doc"), "auto")
