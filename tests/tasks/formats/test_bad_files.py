"""Every kind of bad input: a row with its line, byte and reason, or a BadData that names the file and the way out."""

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.failures import BadData
from tasks.formats import FilePart, ReadLimits, Row, read_file, read_part, split_file
from tasks.formats.stream import FREE_BYTES


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


PACKERS = {"gz": gzip.compress, "zst": zstd, "xz": lzma.compress, "bz2": bz2.compress}
LINES = b"".join(json.dumps({"text": str(n**9)}).encode() + b"\n" for n in range(3000))


def bad(rows: list[Row]) -> list[tuple[int, int | None, str]]:
    return [(row.line, row.offset, row.error) for row in rows if row.values is None]


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_files_read_like_plain_ones_and_damage_names_the_file(tmp_path: Path, packer: str) -> None:
    whole = PACKERS[packer](LINES)
    path = tmp_path / f"rows.jsonl.{packer}"
    path.write_bytes(whole)
    rows = list(read_file(path))
    assert [row.values for row in rows] == [json.loads(line) for line in LINES.splitlines()]
    assert rows[1].offset == len(LINES.splitlines()[0]) + 1
    assert rows[-1].position == path.stat().st_size
    path.write_bytes(whole + whole)  # files put one after the other
    assert sum(1 for _ in read_file(path)) == 6000
    for cut in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadData, match=rf"rows\.jsonl\.{packer}: the \w+ file is truncated; fetch it again"):
            list(read_file(path))
    path.write_bytes(b'{"text": "not packed"}\n' * 9)
    with pytest.raises(BadData, match=rf"rows\.jsonl\.{packer}: not a sound \w+ file"):
        list(read_file(path))
    path.write_bytes(b"")
    with pytest.raises(BadData, match=rf"rows\.jsonl\.{packer}: the file is empty"):
        list(read_file(path))


@pytest.mark.parametrize("packer", ["gz", "zst"])
def test_a_bomb_is_refused_with_the_setting_to_change(tmp_path: Path, packer: str) -> None:
    path = tmp_path / f"bomb.lines.{packer}"
    path.write_bytes(PACKERS[packer]((b" " * 65535 + b"\n") * (FREE_BYTES // 65536 + 1)))
    with pytest.raises(BadData, match=r"bomb.*unpacks to more than 67108864 bytes.*raise limits\.expansion"):
        list(read_file(path))
    absolute = ReadLimits(expanded_bytes=1000)
    with pytest.raises(BadData, match=r"more than 1000 bytes.*raise limits\.expanded_bytes"):
        list(read_file(path, limits=absolute))
    assert list(read_file(path, limits=ReadLimits(expansion=1e6))) == []


def test_a_long_line_is_set_aside_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "' + b"x" * 100 + b'"}\n{"text": "b"}\n' + b"y" * 100)
    rows = list(read_file(path, limits=ReadLimits(row_bytes=50)))
    assert [row.values for row in rows] == [{"text": "a"}, None, {"text": "b"}, None]
    assert bad(rows) == [
        (2, 14, "a line of more than limits.row_bytes=50; raise it to read such rows"),
        (4, 141, "a line of more than limits.row_bytes=50; raise it to read such rows"),
    ]
    assert rows[1].raw.startswith('{"text": "xxx')
    exact = ReadLimits(row_bytes=13)  # the line end does not count
    assert next(iter(read_file(path, limits=exact))).values == {"text": "a"}


def test_a_long_line_is_never_held_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.writelines([b"x" * 1_000_000] * 40 + [b'\n{"text": "after"}\n'])
    tracemalloc.start()
    rows = list(read_file(path, limits=ReadLimits(row_bytes=1 << 20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.values for row in rows] == [None, {"text": "after"}]
    assert peak < 8 << 20  # of 40 MB


@pytest.mark.parametrize("suffix", ["jsonl.gz", "json", "csv", "lines"])
def test_memory_stays_flat_however_long_the_file_is(tmp_path: Path, suffix: str) -> None:
    import tracemalloc

    def peak(rows: int) -> int:
        path = tmp_path / f"rows.{suffix}"
        row = os.urandom(500).hex()
        text = {
            "jsonl.gz": f'{{"text": "{row}"}}\n' * rows,
            "json": "[" + ",".join([f'{{"text": "{row}"}}'] * rows) + "]",
            "csv": "text,id\n" + f'"{row}",1\n' * rows,
            "lines": f"{row}\n" * rows,
        }[suffix].encode()
        path.write_bytes(gzip.compress(text, 1) if suffix.endswith("gz") else text)
        del text
        tracemalloc.start()
        assert sum(1 for found in read_file(path, limits=ReadLimits(expansion=1e4)) if found.values) == rows
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)  # modules and tables that stay
    assert peak(9_000) <= 1.3 * peak(1_500)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", b'{"text": "a\0b"}\n', [(1, 0, "invalid JSON: Invalid control character at character 11")]),
        ("a.lines", b"fine\nN\0L\n", [(2, 5, "NUL at character 1: not text")]),
        ("a.txt", b"fine\nfine\nN\0L\n", [(3, 0, "NUL at character 11: not text")]),
        ("a.txt", "wide".encode("utf-16"), [(1, 0, "invalid UTF-8 at byte 0: this is UTF-16; set `encoding: utf-16`")]),
        ("a.lines", b"\xe9t\xe9\n", [(1, 0, "invalid UTF-8 at byte 0")]),
        ("a.csv", b"text,id\na\nb,2\nc,3,4\n", [
            (2, 8, "1 fields, but the header has 2"), (4, 14, "3 fields, but the header has 2")]),
        ("a.csv", b"text,id\n\xff,1\nb,2\n", [(2, 8, "invalid UTF-8 at byte 0")]),
        ("a.csv", b"text,id\nN\0L,1\nb,2\n", [(2, 8, "NUL at character 1 of line 2: not text")]),
        ("a.csv", b'text,id\n"a"b,1\nb,2\n', [(2, 8, "invalid CSV: ',' expected after '\"'")]),
        ("a.json", b'[{"text": "a"},\n {"text": }, 7,\n "x[", {"text": "b"}]', [
            (2, 17, "invalid JSON: Expecting value at character 9"), (2, 29, "not a JSON object but int"),
            (3, 33, "not a JSON object but str")]),
    ],
)  # fmt: skip
def test_bad_rows_have_line_byte_and_reason(
    tmp_path: Path, name: str, content: bytes, found: list[tuple[int, int, str]]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert bad(list(read_file(tmp_path / name))) == found


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'[{"text": "a"}, {"te', r"a\.json: the JSON array ends in line 1 at byte 20 without `]`"),
        ("a.json", b'[{"a": 1}]\n{"a": 2}\n', r"a\.json: something follows the JSON array in line 2.*format: jsonl"),
        ("a.csv", b'text,id\n1,2\n"open,1\nb,2\n', r"a\.csv: the quote in the record .* line 3 \(byte 12\) is never"),
        ("a.csv", b"text,text\n1,2\n", r"a\.csv:1: the header cannot be used .*'text'"),
        ("a.csv", b"te\xffxt,id\n1,2\n", r"a\.csv:1: the header cannot be used \(invalid UTF-8 at byte 2\)"),
        ("a.arrow", b"no arrow", r"a\.arrow: not a sound Arrow file or stream"),
        ("a.parquet", b"", r"a\.parquet: not a sound Parquet file"),
        ("a.zip", b"PK no zip", r"a\.zip: not a sound archive"),
        ("a.tar", b"x" * 2048, r"a\.tar: not a sound archive"),
        ("a.warc", b"<html>", r"a\.warc: no WARC record at byte 0 but b'<html>'"),
        ("a.doc", b"", r"a\.doc: suffix '\.doc' is none of .*set `format`"),
    ],
)
def test_unsound_files_are_named_with_the_way_out(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=said):
        list(read_file(tmp_path / name))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.lines", "a.warc"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert list(read_file(tmp_path / name)) == []
    assert len(split_file(tmp_path / name, "auto", 10)) == 1


def test_an_unclosed_quote_cannot_swallow_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,id\n"open,1\n' + b"b,2\n" * 1000)
    with pytest.raises(BadData, match=r"begins in line 2 \(byte 8\) is longer than limits\.row_bytes=100: a quote is"):
        list(read_file(path, limits=ReadLimits(row_bytes=100)))


def test_a_huge_element_of_an_array_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '[{"text": "a"}, {"text": "' + "x" * 3_000_000 + '", "n": [1]}, "' + "y" * 3_000_000 + '",\n{"b": 1}]'
    )
    rows = list(read_file(path, limits=ReadLimits(row_bytes=1000)))
    assert [row.values for row in rows] == [{"text": "a"}, None, None, {"b": 1}]
    assert [row.line for row in rows] == [1, 1, 1, 2]
    assert "limits.row_bytes=1000" in rows[1].error
    assert rows[1].offset == 16


def test_truncated_and_flipped_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"text": [str(n**9) for n in range(20_000)]})
    pq.write_table(table, path, row_group_size=2000, write_page_checksum=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match=r"rows\.parquet: not a sound Parquet file"):
        list(read_file(path))
    path.write_bytes(whole[:9000] + bytes(500) + whole[9500:])
    with pytest.raises(BadData, match=r"rows\.parquet: not a sound Parquet file"):
        list(read_file(path))


def test_a_large_value_of_a_table_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", "x" * 5000, "b"]}), path)
    rows = list(read_file(path, limits=ReadLimits(row_bytes=1000)))
    assert [row.values for row in rows] == [{"text": "a"}, None, {"text": "b"}]
    assert "row_bytes=1000" in rows[1].error


def test_a_file_that_changes_or_goes_midway_stops_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES)
    parts = split_file(path, "auto", 20_000)
    rows = read_part(parts[0])
    next(rows)
    path.write_bytes(LINES[:-50])
    with pytest.raises(BadData, match=r"rows\.jsonl changed while it was read"):
        list(rows)
    with pytest.raises(BadData, match=r"rows\.jsonl: ends at byte \d+, but was \d+ bytes long when"):
        list(read_part(parts[-1]))
    path.unlink()
    with pytest.raises(BadData, match=r"rows\.jsonl: no such file"):
        list(read_part(parts[0]))
    with pytest.raises(BadData, match=r"rows\.jsonl: no such file"):
        split_file(path, "auto", 100)


def test_other_encodings_are_read_when_they_are_set(tmp_path: Path) -> None:
    words = "Привет, мир 你好"
    for encoding, text in (("utf-16", words), ("utf-16-le", words), ("utf-32", words), ("gb18030", words)):
        (tmp_path / "a.lines").write_bytes(f"{text}\r\n{text}\n".encode(encoding))
        assert [row.values for row in read_file(tmp_path / "a.lines", encoding=encoding)] == [{"text": text}] * 2
        (tmp_path / "a.jsonl").write_bytes(f'{{"text": "{text}"}}\n'.encode(encoding))
        assert [row.values for row in read_file(tmp_path / "a.jsonl", encoding=encoding)] == [{"text": text}]
    (tmp_path / "a.txt").write_bytes(b"\xd0\xcf")
    assert bad(list(read_file(tmp_path / "a.txt", encoding="shift_jis"))) == []
    (tmp_path / "odd.txt").write_bytes("ab".encode("utf-16-le") + b"\x00")
    with pytest.raises(BadData, match=r"odd\.txt: not utf-16-le near byte \d; set `encoding`"):
        list(read_file(tmp_path / "odd.txt", encoding="utf-16-le"))


def test_parts_turn_to_json_and_back(tmp_path: Path) -> None:
    part = FilePart(tmp_path / "a.jsonl", "jsonl", 5, 9, 2, "cp1252")
    assert FilePart.from_json(json.loads(json.dumps(part.as_json()))) == part
