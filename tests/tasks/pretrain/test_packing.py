"""Packing shard by shard: killed anywhere it goes on and gives the same bytes; chats and damage."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.corpus_shards import read_shards, write_shards
from tasks.documents import encode_documents
from tasks.failures import BadData
from tasks.pretrain import packing
from tasks.pretrain.packing import pack_shards, training_shards
from tasks.pretrain.tokens import token_rows

CHAT = [{"role": "user", "content": "A mole."}, {"role": "assistant", "content": "The <|im_end|> rope."}]
FILES = ("tokens.bin", "documents.bin", "rows.bin", "tokens.json")


@pytest.fixture
def corpus(tmp_path: Path, stories: list[str]) -> Path:
    """36 documents in five shards: texts, one in seven a chat, one that is the text of a special token."""
    rows = [
        {
            "id": str(n),
            "text": text,
            "source": "s",
            "language": "en",
            "metadata": {"messages": CHAT} if n % 7 == 3 else {},
        }
        for n, text in enumerate([*stories[:-1], "<|endoftext|>"])
    ]
    write_shards(tmp_path / "corpus", "train", rows, 8)
    return tmp_path / "corpus"


def _digests(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]


def test_documents_are_those_of_encode_documents(corpus: Path, chat_tokenizer: Any, tmp_path: Path) -> None:
    expected = encode_documents(chat_tokenizer, list(read_shards(corpus, "train")))
    rows = token_rows(tmp_path / "rows", chat_tokenizer, training_shards(corpus), "documents", 10_000)
    assert [rows.row(index) for index in range(len(rows))] == expected
    stream = expected[0] + [token for ids in expected[1:] for token in ids[1:]]
    packed = token_rows(tmp_path / "packed", chat_tokenizer, training_shards(corpus), "packed", 32)
    assert packed.ids.tolist() == stream
    starts = [0]
    for ids in expected[:-1]:
        starts.append(starts[-1] + len(ids) - 1)
    assert packed.starts.tolist() == starts


class Killed(BaseException):
    pass


@pytest.mark.parametrize("layout", ["packed", "documents"])
@pytest.mark.parametrize("died", [0, 1, 3, 4])
def test_killed_in_a_shard_it_goes_on_after_the_one_before(
    corpus: Path, chat_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any, died: int
) -> None:
    shards = training_shards(corpus)
    token_rows(tmp_path / "whole", chat_tokenizer, shards, layout, 24)
    chunks, encoded, deaths = packing._chunks, [], [died]

    def dying(shard: Path) -> Any:
        encoded.append(shard.name)
        for number, chunk in enumerate(chunks(shard)):
            if number == 1 and len(encoded) - 1 in deaths:
                raise Killed
            yield chunk

    monkeypatch.setattr(packing, "CHUNK", 60)
    monkeypatch.setattr(packing, "_chunks", dying)
    with pytest.raises(Killed):
        token_rows(tmp_path / "died", chat_tokenizer, shards, layout, 24)
    said: list[str] = []
    encoded.clear()
    deaths.clear()
    token_rows(tmp_path / "died", chat_tokenizer, shards, layout, 24, say=said.append)
    assert encoded == [shard.name for shard in shards[died:]]
    assert _digests(tmp_path / "died") == _digests(tmp_path / "whole")
    assert any(f"{died} of 5 shards were encoded before" in line for line in said) == (died > 0)


@pytest.mark.parametrize("name", ["tokens.bin", "documents.bin", "shards.jsonl"])
def test_a_damaged_part_is_encoded_again(corpus: Path, chat_tokenizer: Any, tmp_path: Path, name: str) -> None:
    shards = training_shards(corpus)
    token_rows(tmp_path / "rows", chat_tokenizer, shards, "packed", 24)
    expected = _digests(tmp_path / "rows")
    content = bytearray((tmp_path / "rows" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "rows" / name).write_bytes(content)
    (tmp_path / "rows" / "tokens.json").unlink()
    said: list[str] = []
    token_rows(tmp_path / "rows", chat_tokenizer, shards, "packed", 24, say=said.append)
    assert _digests(tmp_path / "rows") == expected
    assert any("2 of 5 shards" in line for line in said)


def test_another_order_of_shards_is_not_continued(corpus: Path, chat_tokenizer: Any, tmp_path: Path) -> None:
    shards = training_shards(corpus)
    pack_shards(tmp_path / "rows", chat_tokenizer, shards, "packed", 24, 1, print)
    assert len(packing.finished(tmp_path / "rows", shards)) == 5
    assert len(packing.finished(tmp_path / "rows", [shards[0], *shards[2:]])) == 1


def test_a_damaged_shard_is_named(corpus: Path, chat_tokenizer: Any, tmp_path: Path) -> None:
    shards = training_shards(corpus)
    shards[1].write_bytes(shards[1].read_bytes()[:-40])
    with pytest.raises(BadData, match=r"train/00001\.parquet: not a sound Parquet file"):
        token_rows(tmp_path / "rows", chat_tokenizer, shards, "packed", 24)
    with pytest.raises(BadData, match="not the output of the corpus stage"):
        training_shards(tmp_path)


def test_the_way_of_encoding_is_said(corpus: Path, chat_tokenizer: Any, tmp_path: Path) -> None:
    """A tokenizer that tiktoken cannot be, encoded by tokenizers: the log says why, the ids are its own."""
    from transformers import PreTrainedTokenizerFast

    content = json.loads(chat_tokenizer.backend_tokenizer.to_str())
    content["normalizer"] = {"type": "NFC"}
    folder = tmp_path / "nfc"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    other = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token="<|endoftext|>")
    said: list[str] = []
    rows = token_rows(tmp_path / "rows", other, training_shards(corpus), "documents", 10_000, say=said.append)
    assert any("it normalises text (NFC)" in line for line in said)
    expected = encode_documents(other, list(read_shards(corpus, "train")))
    assert [rows.row(index) for index in range(len(rows))] == expected
