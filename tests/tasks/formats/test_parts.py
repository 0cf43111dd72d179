"""The parts of a file, one after the other, are the file: same rows, lines and offsets."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.formats import FilePart, read_file, read_part, split_file
from tasks.formats.json_rows import _parse_slowly, parse_json

LINE = st.one_of(
    st.just(b""),
    st.just(b"  "),
    st.just(b'{"text": "cut'),
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
    st.text(max_size=30).map(lambda text: json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "replace")),
)


def place(path: Path, part: FilePart) -> list[tuple[object, ...]]:
    return [(row.line, row.offset, row.values, row.error, row.raw) for row in read_part(part)]


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINE, max_size=30),
    end=st.sampled_from([b"\n", b"\r\n"]),
    last=st.booleans(),
    size=st.integers(1, 200),
    suffix=st.sampled_from(["jsonl", "lines", "json"]),
)
def test_parts_of_line_files_are_the_file(
    tmp_path: Path, lines: list[bytes], end: bytes, last: bool, size: int, suffix: str
) -> None:
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(
        (b'{"text": "first"}' + end if suffix == "json" else b"") + end.join(lines) + (end if last else b"")
    )
    parts = split_file(path, "auto", size)
    whole = [(row.line, row.offset, row.values, row.error, row.raw) for row in read_file(path)]
    assert [row for part in parts for row in place(path, part)] == whole
    assert parts[0].start == 0
    assert parts[-1].stop in (path.stat().st_size, None)
    assert all(one.stop == two.start for one, two in itertools.pairwise(parts))
    assert all(part.start < (part.stop or 0) for part in parts) or path.stat().st_size == 0


def test_files_are_cut_to_about_the_size_wherever_the_chunks_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(b'{"text": "%s"}\n' % (b"x" * (n % 977)) for n in range(6000)))
    parts = split_file(path, "auto", 1_100_000)  # more than one step of reading
    assert len(parts) == 3
    assert [row.line for part in parts for row in read_part(part)] == list(range(1, 6001))
    for part in parts[:-1]:
        assert 1_100_000 <= (part.stop or 0) - part.start < 1_101_000


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 60), group=st.integers(1, 20), size=st.integers(1, 3000))
def test_parts_of_tables_are_the_table(tmp_path: Path, rows: int, group: int, size: int) -> None:
    table = pa.table({"text": [f"{n**5} " * (n % 7) for n in range(rows)], "id": list(range(rows))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=group)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=group)
    with pa.ipc.new_file(tmp_path / "file.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=group)
    for name in ("a.parquet", "stream.arrow", "file.arrow"):
        parts = split_file(tmp_path / name, "auto", size)
        found = [(row.line, row.values) for part in parts for row in read_part(part)]
        assert found == [(number, row) for number, row in enumerate(table.to_pylist(), start=1)]
        assert found == [(row.line, row.values) for row in read_file(tmp_path / name)]


def test_what_cannot_be_cut_is_one_part(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" * 100)
    (tmp_path / "a.json").write_text('[{"text": "a"},\n' + '{"text": "b"},\n' * 50 + '{"text": "c"}]')
    (tmp_path / "laid_out.json").write_text(json.dumps({"text": "a"}, indent=2) + json.dumps({"text": "b"}, indent=2))
    for name, rows in (("a.csv", 99), ("a.json", 52), ("laid_out.json", 2)):
        (part,) = split_file(tmp_path / name, "auto", 10)
        assert (part.start, part.stop, part.first_line) == (0, None, 1)
        assert sum(1 for row in read_part(part) if not row.error) == rows


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=80)
@given(values=st.dictionaries(st.text(), JSON, max_size=5), ascii_only=st.booleans())
def test_the_fast_parser_says_what_the_slow_one_says(values: dict[str, object], ascii_only: bool) -> None:
    line = json.dumps(values, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert repr(parse_json(line)) == repr(_parse_slowly(line))


@settings(deadline=None, max_examples=80)
@given(line=st.binary(max_size=30) | st.text('{}[]":,\\u d83 0eE-+.aNnul', max_size=30).map(str.encode))
def test_on_rubbish_too(line: bytes) -> None:
    assert repr(parse_json(line)) == repr(_parse_slowly(line))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=8), chunk=st.integers(1, 40),
       indent=st.sampled_from([None, 0, 2]))  # fmt: skip
def test_an_array_gives_its_objects_wherever_the_chunks_end(
    tmp_path: Path, rows: list[dict[str, object]], chunk: int, indent: int | None
) -> None:
    from tasks.formats import json_elements

    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    kept, json_elements.CHUNK = json_elements.CHUNK, chunk
    try:
        found = list(read_file(path))
    finally:
        json_elements.CHUNK = kept
    assert repr([row.values for row in found]) == repr(rows)
    content = path.read_bytes()
    for row in found:
        assert content[row.offset : (row.offset or 0) + 1] == b"{"
        assert row.line == content.count(b"\n", 0, row.offset) + 1
