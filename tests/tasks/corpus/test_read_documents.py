"""Documents of one part: fields by config, pages, quarantine entries, and what adds up."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.document import Document
from tasks.corpus.read import SourceCount, check_share, read_documents
from tasks.failures import BadData
from tasks.formats import split_file

DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ""), "web")


def read(
    path: Path, size: int | None = None, **settings: Any
) -> tuple[list[Document], list[dict[str, Any]], SourceCount]:
    source = TextSource(name="s", path=str(path), **settings)
    config = CorpusConfig(sources=[source])
    documents: list[Document] = []
    aside: list[dict[str, Any]] = []
    total = SourceCount("s")
    parts = split_file(path, source.format, size or 1 << 40, source.encoding)
    for part in parts:
        count = SourceCount("s")
        documents += read_documents(source, 0, part, config, count, aside.append)
        total.add(count)
    assert total.rows == len(documents) + len(aside) == total.documents - total.split_added + total.quarantined
    return documents, aside, total


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_fields_name_nested_keys_and_metadata_columns(tmp_path: Path) -> None:
    rows = [
        {"content": {"body": "one"}, "meta": {"url": "http://a", "when": 1}, "a.b": "exact"},
        {"content": {"body": "two"}, "meta": {"url": ""}},
        {"content": "three", "meta": {"url": "http://c"}},
    ]
    settings = {
        "fields": {"text": "content.body", "id": "meta.url", "url": "meta.url"},
        "metadata": ["url", "meta.when", "a.b"],
    }
    documents, aside, count = read(jsonl(tmp_path / "a.jsonl", rows), **settings)
    assert [(one.id, one.text, one.metadata) for one in documents] == [
        ("http://a", "one", {"url": "http://a", "meta.when": 1, "a.b": "exact"}),
        (documents[1].id, "two", {"url": ""}),
    ]
    assert [(one["line"], one["error"]) for one in aside] == [(3, "no 'content.body'")]
    assert count.textless == 1


def test_quarantine_says_file_line_byte_and_reason_in_every_part(tmp_path: Path) -> None:
    rows = [{"text": "fine"}, '{"text": 1', {"text": 2}, {"text": " "}, {"body": "x"}, {"text": "also"}] * 3
    path = jsonl(tmp_path / "a.jsonl", rows)
    whole = read(path)
    assert whole[1][0] == {
        "file": "a.jsonl", "line": 2, "offset": 17, "text": '{"text": 1',
        "error": "invalid JSON: Expecting ',' delimiter at character 10",
    }  # fmt: skip
    for size in (1, 30, 100):
        parted = read(path, size)
        assert parted[1] == whole[1]
        assert [one.text for one in parted[0]] == ["fine", "also"] * 3
        assert parted[2] == whole[2]
    with pytest.raises(
        BadData, match=r"12 of 18 rows cannot be read, more than corpus\.max_malformed=0\.2: a\.jsonl:2"
    ):
        check_share(TextSource(name="s", path="x"), whole[2], 0.2)
    check_share(TextSource(name="s", path="x"), whole[2], 0.7)


def test_equal_ids_are_all_handed_on(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"id": "x", "text": "one"}, {"id": "x", "text": "two"}, {"id": 7, "text": "3"}])
    assert [(one.id, one.text) for one in read(path)[0]] == [("x", "one"), ("x", "two"), ("7", "3")]


def test_values_of_tables_become_plain_metadata(tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"], "day": [datetime.date(2024, 4, 25)]}), tmp_path / "a.parquet")
    (document,) = read(tmp_path / "a.parquet", metadata=["day", "absent"])[0]
    assert document.metadata == {"day": "2024-04-25"}


def test_limits_and_encoding_of_the_source_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.lines"
    path.write_bytes("naïve\n".encode("cp1252") + b"x" * 100 + b"\n")
    documents, aside, _ = read(path, encoding="cp1252", limits={"row_bytes": 50})
    assert [one.text for one in documents] == ["naïve"]
    assert documents[0].metadata == {"file": "a.lines"}
    assert "limits.row_bytes=50" in aside[0]["error"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fields": {"text": "a"}, "text_field": "b"}, "text_field=b and fields.text=a"),
        ({"fields": {"url": "a"}}, "fields.url is used by nothing"),
        ({"encoding": "utf-9"}, "no such encoding"),
    ],
)
def test_contradictions_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TextSource(name="s", path="x", **settings)


PAGE = (
    "<html><body><nav>Menu</nav><article><p>"
    + "The old mill stood by the river. " * 20
    + "</p></article></body></html>"
)


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_pages_in_rows_files_and_archives_give_their_main_text(tmp_path: Path, extractor: str) -> None:
    pytest.importorskip(extractor)
    import zipfile

    rows = jsonl(tmp_path / "a.jsonl", [{"page": PAGE, "url": "u"}, {"page": "<html></html>"}, {"page": 1}])
    settings = {"layout": "html", "fields": {"html": "page"}, "extractor": extractor, "metadata": ["url"]}
    documents, aside, _ = read(rows, **settings)
    assert [one.text.count("old mill") for one in documents] == [20]
    assert "Menu" not in documents[0].text
    assert documents[0].metadata == {"url": "u"}
    assert [one["error"] for one in aside] == ["the page has no main text", "'page' is not text but int"]
    (tmp_path / "a.html").write_text(PAGE)
    assert read(tmp_path / "a.html", extractor=extractor)[0][0].text == documents[0].text
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("in/a.html", PAGE)
        file.writestr("../b.html", PAGE)
    inside, refused, _ = read(tmp_path / "a.zip", extractor=extractor)
    assert [(one.text, one.metadata) for one in inside] == [(documents[0].text, {"file": "a.zip/in/a.html"})]
    assert refused[0]["file"] == "a.zip/../b.html"


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir() or Path("web") == DATA, reason="PLUMBLINE_TEST_DATA")
def test_real_crawls_give_pages_with_their_address() -> None:
    pytest.importorskip("resiliparse")
    paths = sorted(DATA.glob("*.warc.gz"))
    documents = [one for path in paths for one in read(path, extractor="resiliparse")[0]]
    assert len(documents) >= 5
    assert all(one.metadata["url"].startswith("http") and one.metadata["date"].startswith("2024") for one in documents)
    assert all("<div" not in one.text and "\ufffd" not in one.text for one in documents)


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir() or Path("web") == DATA, reason="PLUMBLINE_TEST_DATA")
def test_real_files_read_the_same_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(gzip.decompress((DATA / "raw_samples_mixed.jsonl.gz").read_bytes()))
    whole, parted = read(path), read(path, 100_000)
    assert len(whole[0]) > 200
    assert [(one.id, one.text) for one in parted[0]] == [(one.id, one.text) for one in whole[0]]
    assert parted[1:] == whole[1:]
