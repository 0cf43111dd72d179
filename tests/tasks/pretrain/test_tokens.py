"""Token rows: every token predicted once, the same file whatever the threads, damage noticed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents import encode_documents
from tasks.failures import BadData
from tasks.pretrain.tokens import token_rows


def _documents(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": text, "metadata": {}} for text in texts]


def _shard(folder: Path, texts: list[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**row, "metadata": json.dumps(row["metadata"])} for row in _documents(texts)]
    schema = pa.schema([("text", pa.string()), ("metadata", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "00000.parquet")
    return [folder / "00000.parquet"]


def _rows(rows: Any) -> list[list[int]]:
    return [rows.row(index) for index in range(len(rows))]


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text("fox hat.", min_size=1, max_size=60), min_size=1, max_size=12),
    context=st.integers(8, 40),
)
def test_packed_rows_predict_every_token_once(
    chat_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory, texts: list[str], context: int
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    rows = token_rows(folder, chat_tokenizer, _shard(folder / "in", texts), "packed", context)
    encoded = encode_documents(chat_tokenizer, _documents(texts))
    stream = encoded[0] + [token for ids in encoded[1:] for token in ids[1:]]
    found = _rows(rows)
    assert [token for row in found for token in row[1:]] == stream[1:]
    assert [row[0] for row in found] == stream[0 : len(stream) - 1 : context]
    assert all(len(row) == context + 1 for row in found[:-1])
    assert rows.predicted(list(range(len(rows)))) == len(stream) - 1
    assert rows.starts.tolist() == [place for place, token in enumerate(stream[:-1]) if token == 1]
    inside = [start + place for (start, _), index in zip(rows.spans_N2, range(len(rows)), strict=True)
              for place in rows.documents(index)]  # fmt: skip
    edges = {int(start) for start, _ in rows.spans_N2} | {int(start + length - 1) for start, length in rows.spans_N2}
    assert set(rows.starts.tolist()) - edges <= set(inside) <= set(rows.starts.tolist())


def test_documents_are_rows_cut_at_the_context(chat_tokenizer: Any, tmp_path: Path, stories: list[str]) -> None:
    texts = [stories[0], "A fox.", stories[1]]
    rows = token_rows(tmp_path, chat_tokenizer, _shard(tmp_path / "in", texts), "documents", 12)
    encoded = encode_documents(chat_tokenizer, _documents(texts))
    assert _rows(rows) == [ids[:13] for ids in encoded]
    assert rows.cut == 2
    assert rows.starts.tolist() == rows.spans_N2[:, 0].tolist()
    assert rows.predicted([0, 1]) == 12 + len(encoded[1]) - 1


@pytest.mark.parametrize("layout", ["packed", "documents"])
def test_threads_do_not_matter(
    chat_tokenizer: Any, tmp_path: Path, stories: list[str], layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pretrain.packing.CHUNK", 100)
    shards = _shard(tmp_path, stories)
    one = token_rows(tmp_path / "one", chat_tokenizer, shards, layout, 16, threads=1)
    three = token_rows(tmp_path / "three", chat_tokenizer, shards, layout, 16, threads=3)
    assert _rows(one) == _rows(three)
    assert (tmp_path / "one" / "tokens.bin").read_bytes() == (tmp_path / "three" / "tokens.bin").read_bytes()


@pytest.mark.parametrize("name", ["tokens.bin", "documents.bin", "rows.bin", "tokens.json"])
def test_a_whole_file_is_used_again_and_a_damaged_one_is_not(
    chat_tokenizer: Any, tmp_path: Path, stories: list[str], name: str
) -> None:
    shards = _shard(tmp_path / "in", stories)
    expected = _rows(token_rows(tmp_path, chat_tokenizer, shards, "documents", 64))
    assert _rows(token_rows(tmp_path, chat_tokenizer, [], "documents", 64)) == expected  # nothing was encoded
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert _rows(token_rows(tmp_path, chat_tokenizer, shards, "documents", 64)) == expected
    (tmp_path / name).unlink()
    with pytest.raises(BadData, match="no training document"):
        token_rows(tmp_path, chat_tokenizer, [], "documents", 64)
