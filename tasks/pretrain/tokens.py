"""The training corpus as rows of token ids, in memory-mapped files that a resumed run uses again.

tokens.bin      every id of the corpus in order, uint32
documents.bin   position in tokens.bin at which each document begins, with its end token, int64
rows.bin        first token and number of tokens of each row, int64 pairs
tokens.json     SHA-256 of the three, and what was cut
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from tasks.failures import BadData
from tasks.pretrain.packing import DOCUMENTS, TOKENS, Done, Layout, pack_shards

ROWS, ABOUT = "rows.bin", "tokens.json"


@dataclass(frozen=True)
class TokenRows:
    """Rows of at most context + 1 ids: the model reads all but the last, and predicts all but the first."""

    ids: np.ndarray  # uint32, memory-mapped
    spans_N2: np.ndarray  # first id, number of ids
    starts: np.ndarray  # where documents begin in ids, memory-mapped
    cut: int  # documents longer than a row, of which the rest is unused; 0 when packed

    def __len__(self) -> int:
        return len(self.spans_N2)

    def row(self, index: int) -> list[int]:
        start, length = self.spans_N2[index]
        return list(self.ids[start : start + length].tolist())

    def documents(self, index: int) -> list[int]:
        """Places in a row at which another document begins than the one before."""
        start, length = self.spans_N2[index]
        first, last = np.searchsorted(self.starts, [start + 1, start + length])
        return list((self.starts[first:last] - start).tolist())

    def predicted(self, index: list[int]) -> int:
        """Tokens that these rows predict."""
        return int((self.spans_N2[index, 1] - 1).sum())


def token_rows(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    shards: Sequence[Path],
    layout: Layout,
    context: int,
    threads: int = 1,
    say: Callable[[str], None] = print,
) -> TokenRows:
    """Encode shards of a corpus (Parquet with text and metadata) into ``folder``, or open what an earlier attempt
    left there if its digests agree.

    packed: the documents with an end token between them, cut into blocks that overlap by one id, so that every
    token is predicted once. documents: one document a row. Raises BadData when there is nothing to learn from.
    """
    if not _whole(folder):
        (folder / ABOUT).unlink(missing_ok=True)
        _write_rows(folder, pack_shards(folder, tokenizer, shards, layout, context, threads, say), layout, context)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if about["rows"] == 0:
        raise BadData("the corpus has no training document: look at report.json of the corpus stage")
    ids, starts = np.memmap(folder / TOKENS, np.uint32, "r"), np.memmap(folder / DOCUMENTS, np.int64, "r")
    return TokenRows(ids, np.memmap(folder / ROWS, np.int64, "r").reshape(-1, 2), starts, about["cut"])


def _write_rows(folder: Path, done: Done, layout: Layout, context: int) -> None:
    if layout == "packed":
        first = np.arange(0, max(done.tokens - 1, 0), context, dtype=np.int64)
        length = np.minimum(context + 1, done.tokens - first)
    else:
        first = np.fromfile(folder / DOCUMENTS, dtype=np.int64)
        length = np.diff(first, append=done.tokens)
    np.stack([first, length], axis=1).tofile(folder / ROWS)
    about = {"rows": len(first), "cut": done.cut, **_digests(folder)}
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
    for name in (TOKENS, DOCUMENTS, ROWS):
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
