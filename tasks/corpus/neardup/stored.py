"""Signatures of a corpus as Parquet, so that a later source is compared with it without reading its text.

A row a kept document: id, source, digest of the folded text, band keys, number of distinct shingles, and its
smallest shingle hashes (all of them, up to ``dedup.sketch``). Documents that take no part in near-duplicate removal
have the digest alone.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.neardup.cluster import Int64
from tasks.corpus.neardup.hashing import VERSION
from tasks.corpus.neardup.scheme import Scheme
from tasks.corpus.neardup.texts import COMPLETE, Sets, Signed, path_for, sets_of, sign
from tasks.failures import BadData

ROWS = 20_000  # a row group: about 20 MB
LABEL = b"plumbline.signatures"


def write_signatures(
    path: Path, columns: Iterable[dict[str, pa.Array]], scheme: Scheme, sketch: int, size: int
) -> None:
    """Write signatures; columns: batches of id, source, digest (16 bytes) and text, null where it is not compared.

    sketch: hashes kept of a document at most. size: bytes of text in all.
    """
    label = json.dumps({"version": VERSION, "shingle": scheme.shingle, "bands": scheme.bands, "rows": scheme.rows})
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("digest", pa.binary(16)),
            ("keys", pa.binary(8 * scheme.bands)),
            ("shingles", pa.int64()),
            ("sketch", pa.large_binary()),
        ],
        metadata={LABEL: label},
    )
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, use_dictionary=["source"]) as writer:
        for batch in columns:
            texts = batch["text"]
            signed = sign(texts, scheme, path_for(size))
            sets = sets_of(texts, signed.counts, scheme, path_for(size))
            keys = np.ascontiguousarray(signed.keys.T).tobytes()
            made = {
                "keys": pa.Array.from_buffers(pa.binary(8 * scheme.bands), len(texts), [None, pa.py_buffer(keys)]),
                "shingles": pa.array(sets.sizes),
                "sketch": _sketches(sets, sketch),
            }
            table = pa.table({**{name: batch[name] for name in ("id", "source", "digest")}, **made}, schema=schema)
            writer.write_table(table, row_group_size=ROWS)


class Stored:
    """Signature files of earlier corpora, in the order given.

    Raises BadData when a file is damaged or is none, or was made with another scheme.
    """

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def digests(self) -> dict[bytes, str]:
        """Id of the document with each folded text."""
        found: dict[bytes, str] = {}
        for group in self._groups(["id", "digest"]):
            for digest, id_ in zip(group["digest"].to_pylist(), group["id"].to_pylist(), strict=True):
                found.setdefault(digest, id_)
        return found

    def ids(self) -> list[str]:
        """Id of each document."""
        return [id_ for group in self._groups(["id"]) for id_ in group["id"].to_pylist()]

    def signed(self, scheme: Scheme) -> Iterator[Signed]:
        """Band keys of the documents."""
        for group in self._groups(["keys", "shingles"], scheme):
            keys = np.frombuffer(b"".join(group["keys"].to_pylist()), dtype=np.uint64)
            yield Signed(keys.reshape(-1, scheme.bands).T, group["shingles"].to_numpy())

    def sets(self, positions: Int64) -> Iterator[Sets]:
        """Shingle sets of the documents at these ascending positions, as far as they are stored."""
        begin = 0
        for group in self._groups(["shingles", "sketch"]):
            low, high = np.searchsorted(positions, (begin, begin + len(group)))
            part = group.take(pa.array(positions[low:high] - begin))
            begin += len(group)
            if low == high:
                continue
            hashes = [np.frombuffer(sketch, dtype=np.uint32) for sketch in part["sketch"].to_pylist()]
            sizes = np.array([len(known) for known in hashes], dtype=np.int64)
            whole = sizes == part["shingles"].to_numpy()
            last = np.array([known[-1] if len(known) else 0 for known in hashes], dtype=np.uint32)
            yield Sets(np.concatenate(hashes), sizes, np.where(whole, COMPLETE, last))

    def _groups(self, columns: list[str], scheme: Scheme | None = None) -> Iterator[pa.Table]:
        for path in self.files:
            try:
                with pq.ParquetFile(path) as file:
                    _check(path, file.schema_arrow, scheme)
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group, columns=columns)
            except (pa.ArrowException, OSError) as error:
                raise BadData(f"{path}: not a sound signature file ({error}); correct corpus.dedup.against") from error


def _check(path: Path, schema: pa.Schema, scheme: Scheme | None) -> None:
    label = (schema.metadata or {}).get(LABEL)
    if label is None:
        raise BadData(f"{path}: not the signatures of a corpus; correct corpus.dedup.against")
    made = json.loads(label)
    if made["version"] != VERSION:
        raise BadData(
            f"{path}: signatures of version {made['version']}, this is {VERSION}; build that corpus again, or leave "
            "it out of corpus.dedup.against"
        )
    if scheme is not None and (made["shingle"], made["bands"], made["rows"]) != (
        scheme.shingle, scheme.bands, scheme.rows,
    ):  # fmt: skip
        raise BadData(
            f"{path}: made with shingle={made['shingle']} bands={made['bands']} rows={made['rows']}, this corpus has "
            f"{scheme.shingle}, {scheme.bands}, {scheme.rows}; set corpus.dedup.shingle, bands and rows to match"
        )


def _sketches(sets: Sets, limit: int) -> pa.Array:
    """The smallest ``limit`` hashes of each set, as little-endian bytes."""
    kept = np.minimum(sets.sizes, limit)
    starts = np.cumsum(sets.sizes) - sets.sizes
    place = np.arange(int(kept.sum())) - np.repeat(np.cumsum(kept) - kept, kept) + np.repeat(starts, kept)
    offsets = np.concatenate(([0], np.cumsum(kept) * 4))
    content = sets.flat[place].astype("<u4").tobytes()
    return pa.Array.from_buffers(
        pa.large_binary(), len(kept), [None, pa.py_buffer(offsets.astype(np.int64).tobytes()), pa.py_buffer(content)]
    )
