"""One system's near-duplicate removal, from Parquet to Parquet, as a process whose CPU time is measured.

    python neardup_sides.py ours|rensa|datasketch|datatrove INPUT OUTPUT

INPUT holds en-*.parquet and zh-*.parquet with id and text; OUTPUT gets Parquet files of the rows that stay.
"""

import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PERMUTATIONS, BANDS, SHINGLE = 128, 16, 5
TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


def ours(source: Path, target: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.corpus.neardup.find import find_near

    # The defaults of DedupConfig, without pydantic, which a process of the project has loaded anyway
    config = SimpleNamespace(threshold=0.7, recall=0.99, shingle=5, bands=None, rows=None, verify=True)
    files = sorted(source.glob("*.parquet"))

    def batches(columns: tuple[str, ...] = ("text",)) -> Iterator[Any]:
        for path in files:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(4096, columns=list(columns))

    size = sum(
        file.metadata.row_group(group).column(1).total_uncompressed_size
        for file in map(pq.ParquetFile, files)
        for group in range(file.metadata.num_row_groups)
    )
    found = find_near(lambda: (batch.column(0) for batch in batches()), config, size=size)
    later = np.ones(len(found.members), dtype=bool)
    later[found.ends - found.sizes()] = False
    dropped = np.sort(found.members[later])
    begin = 0
    with pq.ParquetWriter(target / "kept.parquet", pq.read_schema(files[0]), compression="zstd") as writer:
        for batch in batches(("id", "text")):
            low, high = np.searchsorted(dropped, (begin, begin + len(batch)))
            stays = np.ones(len(batch), dtype=bool)
            stays[dropped[low:high] - begin] = False
            keep = np.flatnonzero(stays)
            # Not pa.array(keep), which would import pandas
            indices = pa.Array.from_buffers(pa.int64(), len(keep), [None, pa.py_buffer(keep)])
            writer.write_batch(batch.take(indices))
            begin += len(batch)


def shingles(text: str) -> list[str]:
    """Runs of five words, as a user of a MinHash library makes them."""
    words = TOKEN.findall(text.lower())
    if len(words) < SHINGLE:
        return [" ".join(words)]
    return list(map(" ".join, zip(*(words[start:] for start in range(SHINGLE)), strict=False)))


def rensa(source: Path, target: Path) -> None:
    from rensa import RMinHash, RMinHashLSH

    def keep(texts: list[str]) -> list[int]:
        """Batch sketches and batch flags (rensa's fastest calls); keys of flagged rows say which came first."""
        # Shingles of a slice at a time: all at once take gigabytes
        index, kept = RMinHashLSH(0.7, PERMUTATIONS, BANDS), []
        for start in range(0, len(texts), 4096):
            tokens = [shingles(text) for text in texts[start : start + 4096]]
            matrix = RMinHash.digest_matrix_from_token_sets(tokens, PERMUTATIONS, 42)
            # A row that agrees with an earlier slice, or with another row of its own, is flagged
            flags = index.insert_matrix_and_query_duplicate_flags(matrix, start)
            kept += [start + place for place, flag in enumerate(flags) if not flag]
            flagged = [start + place for place, flag in enumerate(flags) if flag]
            sketches = RMinHash.from_token_sets([tokens[place - start] for place in flagged], PERMUTATIONS, 42)
            kept += [
                place
                for place, sketch in zip(flagged, sketches, strict=True)
                if not any(other < place for other in index.query(sketch))
            ]
        return sorted(kept)

    _with_texts(source, target, keep)


def datasketch(source: Path, target: Path) -> None:
    from datasketch import MinHash, MinHashLSH

    def keep(texts: list[str]) -> list[int]:
        index = MinHashLSH(num_perm=112, params=(14, 8))
        kept = []
        for start in range(0, len(texts), 4096):
            tokens = ([piece.encode() for piece in shingles(text)] for text in texts[start : start + 4096])
            for place, sketch in enumerate(MinHash.generator(tokens, num_perm=112, seed=42), start):
                if not index.query(sketch):
                    kept.append(place)
                index.insert(place, sketch, check_duplication=False)
        return kept

    _with_texts(source, target, keep)


def datatrove(source: Path, target: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.typeshelper import Languages

    config = MinhashConfig(n_grams=SHINGLE, num_buckets=14, hashes_per_bucket=8)
    for prefix, language in (("en", Languages.english), ("zh", Languages.mandarin_chinese)):
        if not list(source.glob(f"{prefix}-*.parquet")):
            continue
        work = target / f"work-{prefix}"
        read = ParquetReader(str(source), glob_pattern=f"{prefix}-*.parquet")
        steps = (
            ([read, MinhashDedupSignature(str(work / "sig"), config=config, language=language)], 2),
            ([MinhashDedupBuckets(str(work / "sig"), str(work / "buckets"), config=config)], 14),
            ([MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config)], 1),
            ([read, MinhashDedupFilter(str(work / "remove")), ParquetWriter(str(target / prefix))], 2),
        )
        for number, (pipeline, tasks) in enumerate(steps):
            # fork: children are waited for, so that their CPU time is counted
            LocalPipelineExecutor(
                pipeline, tasks=tasks, workers=min(tasks, 2), start_method="fork",
                logging_dir=str(work / f"log-{number}"),
            ).run()  # fmt: skip


def _with_texts(source: Path, target: Path, keep) -> None:  # type: ignore[no-untyped-def]
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables(pq.read_table(path) for path in sorted(source.glob("*.parquet")))
    kept = keep(table["text"].to_pylist())
    pq.write_table(table.take(kept), target / "kept.parquet", compression="zstd")


SIDES = {side.__name__: side for side in (ours, rensa, datasketch, datatrove)}

if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    SIDES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    # Peak of this program alone, or of the largest child; what the caller sees begins with the caller's own size
    own = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    peak = max(int(own[1]) if own else 0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    (Path(sys.argv[3]) / "peak").write_text(str(peak / 1024))
