"""Token rows: every token predicted once, the same file whatever the threads, damage noticed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.documents import encode_documents
from tasks.failures import BadData
from tasks.pretrain.tokens import token_rows


def _documents(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": text, "metadata": {}} for text in texts]


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
    rows = token_rows(folder, chat_tokenizer, _documents(texts), "packed", context)
    encoded = encode_documents(chat_tokenizer, _documents(texts))
    stream = encoded[0] + [token for ids in encoded[1:] for token in ids[1:]]
    found = _rows(rows)
    assert [token for row in found for token in row[1:]] == stream[1:]
    assert [row[0] for row in found] == stream[0 : len(stream) - 1 : context]
    assert all(len(row) == context + 1 for row in found[:-1])
    assert rows.predicted(list(range(len(rows)))) == len(stream) - 1


def test_documents_are_rows_cut_at_the_context(chat_tokenizer: Any, tmp_path: Path, stories: list[str]) -> None:
    texts = [stories[0], "A fox.", stories[1]]
    rows = token_rows(tmp_path, chat_tokenizer, _documents(texts), "documents", 12)
    encoded = encode_documents(chat_tokenizer, _documents(texts))
    assert _rows(rows) == [ids[:13] for ids in encoded]
    assert rows.cut == 2
    assert rows.predicted([0, 1]) == 12 + len(encoded[1]) - 1


@pytest.mark.parametrize("layout", ["packed", "documents"])
def test_threads_do_not_matter(
    chat_tokenizer: Any, tmp_path: Path, stories: list[str], layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pretrain.tokens.CHUNK", 4)
    one = token_rows(tmp_path / "one", chat_tokenizer, _documents(stories), layout, 16, threads=1)
    three = token_rows(tmp_path / "three", chat_tokenizer, _documents(stories), layout, 16, threads=3)
    assert _rows(one) == _rows(three)
    assert (tmp_path / "one" / "tokens.bin").read_bytes() == (tmp_path / "three" / "tokens.bin").read_bytes()


@pytest.mark.parametrize("name", ["tokens.bin", "rows.bin", "tokens.json"])
def test_a_whole_file_is_used_again_and_a_damaged_one_is_not(
    chat_tokenizer: Any, tmp_path: Path, stories: list[str], name: str
) -> None:
    expected = _rows(token_rows(tmp_path, chat_tokenizer, _documents(stories), "documents", 64))
    assert _rows(token_rows(tmp_path, chat_tokenizer, [], "documents", 64)) == expected  # nothing was encoded
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert _rows(token_rows(tmp_path, chat_tokenizer, _documents(stories), "documents", 64)) == expected
    (tmp_path / name).unlink()
    with pytest.raises(BadData, match="no training document"):
        token_rows(tmp_path, chat_tokenizer, [], "documents", 64)
