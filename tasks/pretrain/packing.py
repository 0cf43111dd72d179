"""Corpus shards as one file of ids: shard after shard, so that a killed run goes on at the last finished one.

tokens.bin      every id of the corpus in order, uint32
documents.bin   position in tokens.bin at which each document begins, with its end token, int64
shards.jsonl    one line a finished shard: tokens, documents and cut documents so far, SHA-256 of its part of each file
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from tasks.chat import encode_conversations, encode_text
from tasks.documents import document_end
from tasks.failures import BadData
from tasks.tokens.encoder import Encoder

Layout = Literal["packed", "documents"]
TOKENS, DOCUMENTS, DONE = "tokens.bin", "documents.bin", "shards.jsonl"
CHUNK = 1_000_000  # characters that a thread encodes at a time
ROWS = 256  # documents read at a time
SAMPLE = 100  # documents on which two encoders are compared


@dataclass(frozen=True)
class Chunk:
    """Documents one after the other: their ids, how many each has, and how many were cut."""

    ids: np.ndarray  # uint32
    lengths: np.ndarray  # int64
    cut: int


@dataclass(frozen=True)
class Done:
    """Where the files stand after a shard."""

    shard: str = ""
    tokens: int = 0
    documents: int = 0
    cut: int = 0
    ids_sha256: str = ""
    starts_sha256: str = ""


def training_shards(corpus: Path) -> list[Path]:
    """Shards of training documents of a corpus artifact, in order. Raises BadData when there is none."""
    shards = sorted((corpus / "train").glob("*.parquet"))
    if not shards:
        raise BadData("the corpus has no train/*.parquet: it is not the output of the corpus stage")
    return shards


def pack_shards(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    shards: Sequence[Path],
    layout: Layout,
    context: int,
    threads: int,
    say: Callable[[str], None],
) -> Done:
    """Encode the shards that ``folder`` does not hold yet; where the files stand in the end.

    packed: the end token of a document is the beginning of the next, it is written once. documents: each with both,
    cut at context + 1 ids. Memory does not grow with the corpus. Raises BadData for a damaged shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = finished(folder, shards)
    _forget(folder, done)
    if done:
        say(f"{len(done)} of {len(shards)} shards were encoded before")
    last = done[-1] if done else Done()
    if len(done) < len(shards):
        write = DocumentWriter(tokenizer, _sample(shards[len(done)]), layout, context)
        if write.encoder.reason is not None:
            say(f"texts are encoded by tokenizers, not by tiktoken, which is faster: {write.encoder.reason}")
        for shard in shards[len(done) :]:
            last = _append(folder, shard, write, last, threads)
    if layout == "packed" and last.documents:
        with (folder / TOKENS).open("ab") as file:
            np.asarray([document_end(tokenizer)], dtype=np.uint32).tofile(file)
        return replace(last, tokens=last.tokens + 1)
    return last


def finished(folder: Path, shards: Sequence[Path]) -> list[Done]:
    """The shards, from the first, whose parts of the files are as they were written."""
    found: list[Done] = []
    try:
        lines = (folder / DONE).read_text(encoding="utf-8").splitlines()
        with (folder / TOKENS).open("rb") as ids, (folder / DOCUMENTS).open("rb") as starts:
            for line, shard in zip(lines, shards, strict=False):
                before, done = found[-1] if found else Done(), Done(**json.loads(line))
                parts = (
                    _digest(ids, 4 * (done.tokens - before.tokens)),
                    _digest(starts, 8 * (done.documents - before.documents)),
                )
                if done.shard != shard.name or parts != (done.ids_sha256, done.starts_sha256):
                    break
                found.append(done)
    except (OSError, ValueError, TypeError):
        pass  # what was read until then is sound
    return found


class DocumentWriter:
    """Lays out documents: ``<|endoftext|> text``, and the end token once more where rows are documents."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, sample: Sequence[str], layout: Layout, context: int) -> None:
        encode_text(tokenizer, [" "])  # settings of the shared tokenizer are changed before the threads start
        self.encoder = Encoder(tokenizer.backend_tokenizer, sample)
        self._tokenizer, self._layout, self._context = tokenizer, layout, context
        self._end = np.asarray([document_end(tokenizer)], dtype=np.uint32)

    def __call__(self, rows: list[tuple[str, str]]) -> Chunk:
        """Rows of text and metadata; a row whose metadata has ``messages`` is encoded as a chat."""
        chats = [json.loads(metadata).get("messages") if "messages" in metadata else None for _, metadata in rows]
        texts = iter(self.encoder.encode([text for (text, _), chat in zip(rows, chats, strict=True) if not chat]))
        talks = [chat for chat in chats if chat]
        spoken = iter(encode_conversations(self._tokenizer, talks) if talks else [])
        pieces, lengths, cut = [], [], 0
        for chat in chats:
            ids = np.asarray(next(spoken)[0], dtype=np.uint32) if chat else next(texts)
            document, length = [self._end, ids], 1 + len(ids)
            if self._layout == "documents":
                document, length = [*document, self._end], length + 1
                if length > self._context + 1:
                    document = [np.concatenate(document)[: self._context + 1]]
                    length, cut = self._context + 1, cut + 1
            pieces += document
            lengths.append(length)
        ids_N = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint32)
        return Chunk(ids_N, np.asarray(lengths, dtype=np.int64), cut)


def _append(folder: Path, shard: Path, write: DocumentWriter, before: Done, threads: int) -> Done:
    """Encode one shard to the end of the files, and note that it is there."""
    tokens, documents, cut = before.tokens, before.documents, before.cut
    of_ids, of_starts = hashlib.sha256(), hashlib.sha256()
    with (folder / TOKENS).open("ab") as ids, (folder / DOCUMENTS).open("ab") as starts:
        for chunk in _in_order(write, _chunks(shard), threads):
            begin = tokens + np.cumsum(chunk.lengths) - chunk.lengths
            chunk.ids.tofile(ids)
            begin.tofile(starts)
            of_ids.update(chunk.ids.data)
            of_starts.update(begin.data)
            tokens, documents, cut = tokens + len(chunk.ids), documents + len(chunk.lengths), cut + chunk.cut
        for file in (ids, starts):
            file.flush()
            os.fsync(file.fileno())
    done = Done(shard.name, tokens, documents, cut, of_ids.hexdigest(), of_starts.hexdigest())
    with (folder / DONE).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(asdict(done)) + "\n")
    return done


def _in_order(write: DocumentWriter, chunks: Iterator[list[tuple[str, str]]], threads: int) -> Iterator[Chunk]:
    """Chunks encoded by threads (both encoders let go of the interpreter), few at a time, in their order."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Chunk]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(write, chunk))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chunks(shard: Path) -> Iterator[list[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    size = 0
    for row in _rows(shard):
        chunk.append(row)
        size += len(row[0])
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _rows(shard: Path) -> Iterator[tuple[str, str]]:
    """Text and metadata, as JSON, of each document."""
    try:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=["text", "metadata"]):
                yield from zip(*(batch.column(name).to_pylist() for name in ("text", "metadata")), strict=True)
    except pa.ArrowException as error:
        raise BadData(f"{shard.parent.name}/{shard.name}: not a sound Parquet file ({error})") from error


def _sample(shard: Path) -> list[str]:
    return [text[:2_000] for (text, _), _ in zip(_rows(shard), range(SAMPLE), strict=False)]


def _forget(folder: Path, done: list[Done]) -> None:
    """Cut off what comes after the last finished shard."""
    last = done[-1] if done else Done()
    for name, size in ((TOKENS, 4 * last.tokens), (DOCUMENTS, 8 * last.documents)):
        with (folder / name).open("ab") as file:
            file.truncate(size)
    lines = "".join(json.dumps(asdict(one)) + "\n" for one in done)
    new = folder / f"{DONE}.new"
    new.write_text(lines, encoding="utf-8")
    new.replace(folder / DONE)


def _digest(file: BinaryIO, size: int) -> str:
    """SHA-256 of the next bytes of a file."""
    digest, left = hashlib.sha256(), size
    while left > 0 and (block := file.read(min(left, 1 << 20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()
