"""Near-duplicate removal beside rensa, datasketch and datatrove: CPU and wall seconds, peak memory, recall, precision.

    python benchmarks/corpus/neardup.py [--data-root FOLDER] [--documents N] [--peers .peers] [--repeats 3] [--json]

Every system reads the same Parquet files and writes the rows that stay to Parquet, as a process of its own, imports
included. Recall and precision are taken in a second run, on planted pairs alone (planted.py): a pair counts as found
when one of the two is gone; a removal counts as right when the pair's exact similarity is at least .7. The peers'
environment is made with venv and pip unless --peers names it. datatrove can be given the first documents
only (--datatrove-documents); its ratio is then that of both systems on those. Last line with --json:
{"ratio_datatrove", "ratio_datasketch", "ratio_rensa", …}, ratios of CPU seconds; wall_* the same of wall seconds.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks.corpus.planted import Pair, make_pairs, passages  # noqa: E402

PEERS = ("datatrove[processing]==0.10.1", "datasketch==2.0.0", "rensa==0.5.0", "xxhash<4", "tokenizers", "pyarrow",
         "jieba", "spacy", "regex")  # fmt: skip
SIDES = Path(__file__).with_name("neardup_sides.py")
THRESHOLD = 0.7
ROWS = 10_000  # a file
SMALL = (100, 1_000, 5_000, 15_000, 40_000)
Rows = list[tuple[str, str, str]]  # id, text, language


@dataclass
class Run:
    """CPU seconds with those of children, wall seconds, peak MB of the largest process."""

    cpu: float
    wall: float
    peak: float


def write(rows: Rows, folder: Path) -> Path:
    """en-*.parquet and zh-*.parquet of id and text, `ROWS` each."""
    folder.mkdir()
    for language in ("en", "zh"):
        chosen = [row for row in rows if row[2] == language]
        for start in range(0, len(chosen), ROWS):
            part = chosen[start : start + ROWS]
            table = pa.table({"id": [row[0] for row in part], "text": [row[1] for row in part]})
            pq.write_table(table, folder / f"{language}-{start // ROWS:04d}.parquet", compression="zstd")
    return folder


def run(side: str, python: str, source: Path, repeats: int = 1) -> tuple[Run, set[str]]:
    """Median of the repeats, and the ids that stay."""
    runs, kept = [], set()
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            with (Path(folder) / "log").open("w") as log:
                env = {**os.environ, "PYTHONPATH": str(ROOT) if side == "ours" else "", "HF_HUB_OFFLINE": "1"}
                child = subprocess.Popen(
                    [python, SIDES, side, source, Path(folder) / "out"], env=env, stdout=log, stderr=log
                )
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - begin
            if child.returncode:
                raise SystemExit(f"{side} failed:\n{(Path(folder) / 'log').read_text()[-3000:]}")
            runs.append(Run(usage.ru_utime + usage.ru_stime, wall, float((Path(folder) / "out/peak").read_text())))
            files = list((Path(folder) / "out").rglob("*.parquet"))
            kept = {id_ for path in files for id_ in pq.read_table(path, columns=["id"])["id"].to_pylist()}
    return Run(*(statistics.median(getattr(one, name) for one in runs) for name in ("cpu", "wall", "peak"))), kept


def rows_of(pairs: list[Pair]) -> Rows:
    """Both texts of each pair, ids LANGUAGE-NUMBER-a and -b."""
    return [
        (f"{pair.language}-{number:06d}-{name}", text, pair.language)
        for number, pair in enumerate(pairs)
        for name, text in (("a", pair.left), ("b", pair.right))
    ]


def quality(pairs: list[Pair], kept: set[str]) -> dict[str, float]:
    """Recall at the threshold and in two bands, for each language, and precision of the removals."""
    result: dict[str, float] = {}
    right = removed = 0
    found = []
    for number, pair in enumerate(pairs):
        gone = sum(f"{pair.language}-{number:06d}-{name}" not in kept for name in "ab")
        removed += gone
        right += min(gone, 1) if pair.similarity >= THRESHOLD else 0
        found.append((pair, gone > 0))
    for language in ("en", "zh"):
        for name, low, high in (("", 0.7, 2), ("_7", 0.7, 0.8), ("_8", 0.8, 2), ("_5", 0.5, 0.7)):
            hits = [hit for pair, hit in found if pair.language == language and low <= pair.similarity < high]
            result[f"recall_{language}{name}"] = sum(hits) / max(1, len(hits))
    return {**result, "precision": right / max(1, removed), "false_removals": removed - right}


def build(root: Path, documents: int, planted: int, seed: int) -> tuple[Rows, list[Pair]]:
    """All documents in a random order, a share of them planted pairs; and the pairs."""
    rows: Rows = []
    pairs: list[Pair] = []
    for language, share in (("en", 0.75), ("zh", 0.25)):
        texts = list(passages(root, language))
        made = make_pairs(texts, language, int(planted * share), seed)
        rows += [(f"{language}-filler-{number:06d}", text, language) for number, text in enumerate(texts)]
        pairs += made
    rows += rows_of(pairs)
    random.Random(seed).shuffle(rows)
    if documents > len(rows):
        raise SystemExit(f"--documents {documents}: the data folder makes {len(rows)}")
    return rows[:documents], pairs


def peers_python(given: str | None, folder: str) -> str:
    """Python of the peers' environment, made when none is given."""
    if given:
        return f"{given}/bin/python" if Path(given).is_dir() else given
    print("making the peers' environment …", flush=True)
    subprocess.check_call([sys.executable, "-m", "venv", f"{folder}/peers"])
    subprocess.check_call([f"{folder}/peers/bin/python", "-m", "pip", "install", "--quiet", *PEERS])
    return f"{folder}/peers/bin/python"


def show(name: str, ran: Run, base: Run, documents: int) -> None:
    print(
        f"{name:11} {documents:8,} docs {ran.cpu:8.2f} CPU-s {ran.wall:8.2f} s {ran.peak:6.0f} MB   "
        f"{ran.cpu / base.cpu:6.1f}x CPU {ran.wall / base.wall:6.1f}x wall",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("PLUMBLINE_TEST_DATA"))
    parser.add_argument("--documents", type=int, default=150_000)
    parser.add_argument("--datatrove-documents", type=int, default=0, help="0: all of them")
    parser.add_argument("--planted", type=int, default=8_000, help="pairs")
    parser.add_argument("--peers", help="environment, or its Python, with datatrove, datasketch and rensa")
    parser.add_argument("--skip", nargs="*", default=[], choices=("datatrove", "datasketch", "rensa"))
    parser.add_argument("--repeats", type=int, default=3, help="of the fast systems")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="also small inputs beside rensa")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("name the data folder: --data-root or PLUMBLINE_TEST_DATA")
    with tempfile.TemporaryDirectory() as folder:
        rows, pairs = build(Path(options.data_root), options.documents, options.planted, options.seed)
        size = sum(len(row[1].encode()) for row in rows) / 1e6
        print(f"{len(rows):,} documents, {size:.0f} MB; gold: {len(pairs):,} pairs", flush=True)
        python = peers_python(options.peers, folder)
        result = compare(options, rows, pairs, python, Path(folder))
    if options.json:
        print(json.dumps(result))


def compare(options: argparse.Namespace, rows: Rows, pairs: list[Pair], python: str, folder: Path) -> dict[str, float]:
    """Run all systems; print as they finish."""
    everything, gold = write(rows, folder / "all"), write(rows_of(pairs), folder / "gold")
    run("ours", sys.executable, gold)  # fills the cache of compiled code, once a machine
    base, _ = run("ours", sys.executable, everything, options.repeats)
    show("ours", base, base, len(rows))
    result = {"documents": len(rows), "cpu": base.cpu, "wall": base.wall, "peak_mb": base.peak}
    measured = {"ours": quality(pairs, run("ours", sys.executable, gold)[1])}
    for side in ("rensa", "datasketch", "datatrove"):
        if side in options.skip:
            continue
        source, count, mine = everything, len(rows), base
        if side == "datatrove" and 0 < options.datatrove_documents < len(rows):
            count = options.datatrove_documents
            source = write(rows[:count], folder / "part")
            mine, _ = run("ours", sys.executable, source, options.repeats)
            show("ours", mine, mine, count)
            result["datatrove_documents"] = count
        ran, _ = run(side, python, source, options.repeats if side == "rensa" else 1)
        show(side, ran, mine, count)
        result |= {f"ratio_{side}": ran.cpu / mine.cpu, f"wall_{side}": ran.wall / mine.wall}
        measured[side] = quality(pairs, run(side, python, gold)[1])
    columns = ("recall_en_8", "recall_en_7", "recall_en_5", "recall_zh_8", "recall_zh_7", "recall_zh_5", "precision")
    print(f"{'':11} " + " ".join(f"{name:>11}" for name in columns))
    for side, values in measured.items():
        print(f"{side:11} " + " ".join(f"{values[name]:11.4f}" for name in columns))
    if options.small:
        result["ratio_rensa_small"] = min(small(rows, python, folder, options.repeats))
    return result | {name: measured["ours"][name] for name in ("recall_en", "recall_zh", "precision")}


def small(rows: Rows, python: str, folder: Path, repeats: int) -> list[float]:
    """rensa's CPU seconds over ours on small inputs."""
    ratios = []
    for count in SMALL:
        source = write(rows[:count], folder / f"small-{count}")
        mine, theirs = run("ours", sys.executable, source, repeats)[0], run("rensa", python, source, repeats)[0]
        show("ours", mine, mine, count)
        show("rensa", theirs, mine, count)
        ratios.append(theirs.cpu / mine.cpu)
    return ratios


if __name__ == "__main__":
    main()
