"""Archives, WARC files, pages, tables of text, saved data sets."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.failures import BadConfig, BadData
from tasks.formats import ReadLimits, Row, read_file
from tasks.formats.dataset_folder import dataset_files
from tasks.formats.main_text import decode_html, main_text

pytest.importorskip("resiliparse", reason="pip install 'plumbline[web]'")


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def found(rows: list[Row]) -> list[tuple[str, int, object]]:
    return [(row.member, row.line, row.values or row.error) for row in rows]


MEMBERS = {
    "data/a.jsonl": b'{"text": "a"}\n{"text": \n',
    "data/b.csv.gz": gzip.compress(b"text,id\nb,1\n"),
    "../out.txt": b"no",
    "/etc/abs.txt": b"no",
    "c/../../d.txt": b"no",
    "d.txt": b"four",
    "e.zip": b"PK",
    "f.parquet": b"PAR1",
    "g.bin": b"?",
    "__MACOSX/d.txt": b"rubbish",
}


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.xz"])
def test_members_are_read_as_streams_and_refused_by_name(tmp_path: Path, name: str) -> None:
    mode = {".gz": "w:gz", "tgz": "w:gz", ".xz": "w:xz"}.get(name[-3:], "w")
    path = zip_of(tmp_path / name, MEMBERS) if name == "x.zip" else tar_of(tmp_path / name, MEMBERS, mode)
    before = sorted(tmp_path.rglob("*"))
    rows = found(list(read_file(path)))
    assert rows[0] == ("data/a.jsonl", 1, {"text": "a"})
    assert rows[1][:2] == ("data/a.jsonl", 2)
    assert rows[2] == ("data/b.csv.gz", 2, {"text": "b", "id": "1"})
    assert [(member, error) for member, _, error in rows[3:6]] == [
        (bad, f"the member's path {bad!r} leads out of the archive") for bad in list(MEMBERS)[2:5]
    ]
    assert rows[6] == ("d.txt", 1, {"text": "four"})
    for row, said in zip(rows[7:], ("an archive inside", "cannot be read as a stream", "suffix '.bin'"), strict=True):
        assert said in str(row[2])
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written


def test_a_link_in_a_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        info = tarfile.TarInfo("passwd.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    assert found(list(read_file(tmp_path / "x.tar"))) == [
        ("passwd.txt", 0, "the member is a link or a device, not a file")
    ]


def test_the_format_of_members_can_be_set(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"brown/ca01": b"one", "brown/ca02": b"two"})
    assert [row.values for row in read_file(path, "txt")] == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar"])
def test_bombs_and_truncated_archives_are_named(tmp_path: Path, name: str) -> None:
    members = {"a.txt": b"\n" * 3_000_000, "b.txt": b"b" * 600}
    path = (
        zip_of(tmp_path / name, members) if name == "x.zip"
        else tar_of(tmp_path / name, members, "w:gz" if name.endswith("gz") else "w")
    )  # fmt: skip
    if name != "x.tar":
        with pytest.raises(BadData, match=rf"{name}: unpacks to more than 1000000 bytes"):
            list(read_file(path, limits=ReadLimits(expanded_bytes=1_000_000)))
    whole = path.read_bytes()
    for cut in (len(whole) // 2, 512 + 3_000_320):  # in a member, between two members
        path.write_bytes(whole[:cut])
        if cut < len(whole):
            with pytest.raises(BadData, match=rf"{name}: .*(not a sound archive|truncated)"):
                list(read_file(path))


def record(kind: str, url: str, body: bytes, media: str = "application/http; msgtype=response") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: <{url}>\r\nWARC-Date: 2024-04-25T16:24:44Z\r\n"
    return f"{head}Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def answer(body: bytes, media: str = "text/html; charset=utf-8", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\n{more}\r\n".encode() + body


PAGE = "<html><body><p>Grüße</p></body></html>"


def test_warc_records_are_rows_with_url_and_date(tmp_path: Path) -> None:
    chunked = b"5\r\n<html\r\n1\r\n>\r\n0\r\n\r\n"
    records = [
        record("warcinfo", "", b"software: x", "application/warc-fields"),
        record("request", "http://a", b"GET / HTTP/1.1\r\n\r\n", "application/http; msgtype=request"),
        record("response", "http://a", answer(PAGE.encode())),
        record("response", "http://latin", answer(PAGE.encode("latin-1"), "text/html; charset=ISO-8859-1")),
        record("response", "http://moved", answer(PAGE.encode(), status="301 Moved")),
        record("response", "http://image", answer(b"\x89PNG", "image/png")),
        record("response", "http://gz", answer(gzip.compress(PAGE.encode()), more="Content-Encoding: gzip\r\n")),
        record("response", "http://chunks", answer(chunked, more="Transfer-Encoding: chunked\r\n")),
        record("response", "http://cut", answer(gzip.compress(b"x" * 999)[:20], more="Content-Encoding: gzip\r\n")),
        record("conversion", "http://wet", "Grüße".encode(), "text/plain"),
        record("response", "http://long", answer(b"<p>" * 900)),
    ]
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"".join(gzip.compress(one) for one in records))
    rows = list(read_file(path, limits=ReadLimits(row_bytes=2000)))
    date = "2024-04-25T16:24:44Z"
    assert [(row.line, row.values or row.error) for row in rows] == [
        (3, {"html": PAGE, "url": "http://a", "date": date}),
        (4, {"html": PAGE, "url": "http://latin", "date": date}),
        (7, {"html": PAGE, "url": "http://gz", "date": date}),
        (8, {"html": "<html>", "url": "http://chunks", "date": date}),
        (9, "the gzip body is truncated"),
        (10, {"text": "Grüße", "url": "http://wet", "date": date}),
        (11, "a record of more than limits.row_bytes=2000; raise it to read such rows"),
    ]
    plain = b"".join(records)
    for row in rows:
        assert plain[row.offset :].startswith(b"WARC/1.0")
    (tmp_path / "x.warc").write_bytes(plain[:-600])
    with pytest.raises(BadData, match=r"x\.warc: the record at byte \d+ is cut off"):
        list(read_file(tmp_path / "x.warc"))
    (tmp_path / "x.warc").write_bytes(plain.replace(b"Content-Length: 11\r\n", b"Content-Length: ?\r\n"))
    with pytest.raises(BadData, match=r"the record at byte 0 has Content-Length '\?'"):
        list(read_file(tmp_path / "x.warc"))


@pytest.mark.parametrize(
    ("content", "said", "text"),
    [
        ("<meta charset=gbk>汉字".encode("gbk"), "", "汉字"),
        ("<meta charset=gb2312>汉字㐀".encode("gb18030"), "", "汉字㐀"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">かな'.encode("shift_jis"), "", "かな"),
        ('<?xml version="1.0" encoding="windows-1251"?>Привет'.encode("cp1251"), "", "Привет"),
        ("Grüße “x”".encode("cp1252"), "iso-8859-1", "Grüße “x”"),
        ("<meta charset=latin1>é".encode(), "utf-8", "é"),  # the server knows better
        ("\ufeffé".encode(), "latin1", "é"),
        ("é".encode("utf-16"), "", "é"),
        ("<meta charset=utf-16>é".encode(), "", "é"),
        ("plain é".encode(), "", "plain é"),
        ("<meta charset=rubbish>é".encode(), "", "é"),
        ("<meta charset=utf-8>Это русский текст без верной кодировки, довольно длинный.".encode("koi8-r"), "", None),
        ("Это русский текст без объявленной кодировки, довольно длинный.".encode("koi8-r"), "", "русский"),
    ],
)
def test_encodings_of_pages(content: bytes, said: str, text: str | None) -> None:
    decoded = decode_html(content, said)
    assert text is None or text in decoded
    assert "\ufffd" not in decoded or text is None


ARTICLE = "The old mill stood by the river, and nobody had seen it turn for many years. " * 6
WHOLE = (
    "<html><head><title>Mill</title></head><body><nav><a href='/'>Home</a> <a href='/shop'>Shop</a></nav>"
    f"<article><h1>The mill</h1><p>{ARTICLE}</p><p>Later {ARTICLE}</p></article>"
    "<footer>Copyright</footer></body></html>"
)


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_the_main_text_is_without_menu_and_footer(extractor: str) -> None:
    text = main_text(WHOLE, extractor)
    assert text.count("nobody had seen it turn") == 12
    assert "Shop" not in text
    assert main_text("", extractor) == ""


def test_a_page_nested_without_end_is_refused_before_it_takes_hours() -> None:
    for page in ("<div>" * 50_000 + "text", "<b><i>" * 2000 + "</i></b>" * 2000):
        with pytest.raises(ValueError, match="more than 1000 elements inside one another"):
            main_text(page, "resiliparse")
    assert "last" in main_text(
        "<html><body>" + "<div><b>x</b></div>" * 3000 + "<p>last</p></body></html>", "resiliparse"
    )


def test_html_files_are_pages(tmp_path: Path) -> None:
    (tmp_path / "a.htm").write_bytes(b"<meta charset=latin1>\xe9")
    assert [row.values for row in read_file(tmp_path / "a.htm")] == [{"html": "<meta charset=latin1>é"}]


def test_csv_with_quotes_and_line_feeds_keeps_lines_and_offsets(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbftext,id\r\n"a ""b"",\r\nc",1\r\n\r\n"d",2\n'
    (tmp_path / "a.csv").write_bytes(content)
    rows = list(read_file(tmp_path / "a.csv"))
    assert [(row.line, row.values) for row in rows] == [
        (2, {"text": 'a "b",\r\nc', "id": "1"}),
        (5, {"text": "d", "id": "2"}),
    ]
    assert [content[row.offset :][:2] for row in rows] == [b'"a', b'"d']
    (tmp_path / "a.tsv").write_text("text\tid\na, b\t1\n")
    assert [row.values for row in read_file(tmp_path / "a.tsv")] == [{"text": "a, b", "id": "1"}]


def test_saved_data_sets_are_read_and_splits_are_named(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    data = Dataset.from_dict({"text": ["a", "b", "c"]})
    data.save_to_disk(str(tmp_path / "one"), num_shards=2)
    DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "both"))
    rows = [row.values for file in dataset_files(tmp_path / "one") for row in read_file(file)]
    assert rows == [{"text": "a"}, {"text": "b"}, {"text": "c"}]
    assert len(dataset_files(tmp_path / "both" / "train")) == 1
    with pytest.raises(BadData, match="both: holds the splits train, test; name one: both/train"):
        dataset_files(tmp_path / "both")
    dataset_files(tmp_path / "one")[1].unlink()
    with pytest.raises(BadData, match=r"one: data-00001-of-00002\.arrow is missing"):
        dataset_files(tmp_path / "one")
    with pytest.raises(BadData, match=r"name its files, for example"):
        dataset_files(tmp_path)


def test_without_the_packages_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(BadConfig, match=r"pip install 'plumbline\[web\]'"):
        main_text(WHOLE, "trafilatura")
