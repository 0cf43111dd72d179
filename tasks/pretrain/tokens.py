"""The training corpus as rows of token ids, in a memory-mapped file that a resumed run uses again.

tokens.bin    every id of the corpus in order, uint32
rows.bin      first token and number of tokens of each row, int64 pairs
tokens.json   SHA-256 of both, and what was cut
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from tasks.chat import encode_text
from tasks.documents import encode_documents
from tasks.failures import BadData

TOKENS, ROWS, ABOUT = "tokens.bin", "rows.bin", "tokens.json"
CHUNK = 256  # documents a thread encodes at a time


@dataclass(frozen=True)
class TokenRows:
    """Rows of at most context + 1 ids: the model reads all but the last, and predicts all but the first."""

    ids: np.ndarray  # uint32, memory-mapped
    spans_N2: np.ndarray  # first id, number of ids
    cut: int  # documents longer than a row, of which the rest is unused; 0 when packed

    def __len__(self) -> int:
        return len(self.spans_N2)

    def row(self, index: int) -> list[int]:
        start, length = self.spans_N2[index]
        return list(self.ids[start : start + length].tolist())

    def predicted(self, index: list[int]) -> int:
        """Tokens that these rows predict."""
        return int((self.spans_N2[index, 1] - 1).sum())


def token_rows(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[dict[str, Any]],
    layout: Literal["packed", "documents"],
    context: int,
    threads: int = 1,
) -> TokenRows:
    """Encode the corpus into ``folder``, or open what an earlier attempt left there if its digests agree.

    packed: the documents with an end token between them, cut into blocks that overlap by one id, so that every
    token is predicted once. documents: one document a row. Raises BadData when there is nothing to learn from.
    """
    if not _whole(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
        _write(folder, _encode(tokenizer, documents, threads), layout, context)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if about["rows"] == 0:
        raise BadData("the corpus has no training document: look at report.json of the corpus stage")
    ids = np.memmap(folder / TOKENS, dtype=np.uint32, mode="r")
    return TokenRows(ids, np.fromfile(folder / ROWS, dtype=np.int64).reshape(-1, 2), about["cut"])


def _encode(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[dict[str, Any]], threads: int
) -> Iterator[list[int]]:
    """Ids of every document in order. The Rust tokenizer lets go of the interpreter: threads do help."""
    encode_text(tokenizer, [" "])  # settings of the shared tokenizer are changed before the threads start
    source = iter(documents)
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(source, CHUNK * threads)):
            chunks = [batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)]
            for encoded in pool.map(lambda chunk: encode_documents(tokenizer, chunk), chunks):
                yield from encoded


def _write(folder: Path, encoded: Iterable[list[int]], layout: str, context: int) -> None:
    spans: list[tuple[int, int]] = []
    written = cut = 0
    with (folder / TOKENS).open("wb") as file:
        for ids in encoded:
            # packed: the end of one document is the beginning of the next, it is written once
            kept = ids[: context + 1] if layout == "documents" else ids[min(written, 1) :]
            cut += len(kept) < len(ids) and layout == "documents"
            np.asarray(kept, dtype=np.uint32).tofile(file)
            if layout == "documents":
                spans.append((written, len(kept)))
            written += len(kept)
    if layout == "packed":
        spans = [(start, min(context + 1, written - start)) for start in range(0, max(written - 1, 0), context)]
    np.asarray(spans, dtype=np.int64).tofile(folder / ROWS)
    about = {"rows": len(spans), "cut": cut, **_digests(folder)}
    new = folder / f"{ABOUT}.new"
    new.write_text(json.dumps(about), encoding="utf-8")
    new.replace(folder / ABOUT)


def _whole(folder: Path) -> bool:
    """Whether the folder holds what a finished attempt wrote."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return all(about[name] == digest for name, digest in _digests(folder).items())
    except (OSError, ValueError, KeyError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for name in (TOKENS, ROWS):
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
