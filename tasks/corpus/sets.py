"""Shingle sets of the candidates for near duplicates, a shard at a time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.neardup.scheme import scheme_of
from tasks.corpus.neardup.texts import COMPLETE, Sets, from_bytes, path_for, sets_of
from tasks.corpus.plan import Plan, Report
from tasks.corpus.simplified import fold_for
from tasks.corpus.work import Int64, RowReader, read_table

BATCH = 4_000_000  # bytes of text
FOLDER, WANTED, FLAT, SIZES = "sets", "wanted.npy", "flat.bin", "sizes.npy"


def want_sets(plan: Plan, shard: int, rows: Int64) -> None:
    """Ask for the sets of these rows of a shard, ascending."""
    folder = plan.folder / FOLDER / f"{shard:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / WANTED, rows)


def write_sets(folder: Path, number: int, report: Report) -> None:
    """Write the sets that `want_sets` asked for: flat.bin and sizes.npy."""
    plan = Plan.load(folder)
    target = folder / FOLDER / f"{number:06d}"
    rows: Int64 = np.load(target / WANTED)
    table = read_table(plan.shard(number))
    start, size, counts = (table[name].to_numpy()[rows] for name in ("start", "text_bytes", "shingles"))
    scheme, fold = scheme_of(plan.config.dedup), fold_for(plan.config.dedup)
    sizes: list[NDArray[np.int64]] = []
    ends = np.cumsum(size)
    with (target / FLAT).open("wb") as flat, RowReader([plan.shard(number)]) as reader:
        begin = 0
        while begin < len(rows):
            before = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + BATCH, side="right")))
            chosen = slice(begin, end)
            texts = reader.texts(np.zeros(end - begin, dtype=np.int64), start[chosen], size[chosen])
            folded = [text if fold is str else fold(text.decode()).encode() for text in texts]
            made = sets_of(from_bytes(folded), counts[chosen], scheme, path_for(plan.size))
            made.flat.tofile(flat)
            sizes.append(made.sizes)
            report(int(ends[end - 1]))
            begin = end
    np.save(target / SIZES, np.concatenate(sizes) if sizes else np.zeros(0, dtype=np.int64))


def read_sets(plan: Plan, shard: int) -> Sets:
    """What `write_sets` wrote, in the order of the rows."""
    folder = plan.folder / FOLDER / f"{shard:06d}"
    sizes = np.load(folder / SIZES)
    flat = np.fromfile(folder / FLAT, dtype=np.uint32)
    return Sets(flat, sizes, np.full(len(sizes), COMPLETE))
