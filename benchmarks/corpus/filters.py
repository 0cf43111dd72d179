"""Quality filters beside datatrove's: CPU seconds of the four families, and how often the decisions agree.

    python benchmarks/corpus/filters.py [--data-root FOLDER] [--documents N] [--peers .peers] [--repeats 3] [--json]

Both read the same Parquet files and write the documents that stay to Parquet, each as a process of its own, imports
included. ratio_datatrove: datatrove as shipped, with spaCy's words and sentences. ratio_same_words: datatrove is
handed the words that our kernels split and splits sentences at a dot and a space, so that only its arithmetic is
left. agreement: lowest share, over the families alone, of documents that both keep or both drop. Disagreements are
printed. The peers' environment is made with venv and pip unless --peers names it.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks.corpus.filters_sides import FAMILIES  # noqa: E402

PEERS = ("datatrove[processing]==0.10.1", "xxhash<4", "tokenizers", "pyarrow", "jieba", "spacy", "regex", "nltk")
SIDES = Path(__file__).with_name("filters_sides.py")
# File, field, and every how many documents: about 14 MB in all
SOURCES = (
    ("web/c4_demo", "text", 1), ("web/raw_samples_mixed", "text", 1), ("web/article_extraction_html", "articleBody", 1),
    ("web/article_extraction_html", "html", 20), ("pretrain/peps", "text", 6), ("pretrain/wikitext2_valid", "text", 1),
    ("pretrain/classic_books_en", "text", 15), ("instruct/lima_1029", "output", 1),
    ("instruct/alpaca_52k_en", "output", 3),
)  # fmt: skip
PIECE = 3000  # characters at which books and the like are cut, at blank lines


def pieces(text: str) -> Iterator[str]:
    """A long text cut at blank lines into pieces of about `PIECE` characters."""
    part, size = [], 0
    for line in text.split("\n"):
        part.append(line)
        size += len(line)
        if size >= PIECE and not line.strip():
            yield "\n".join(part)
            part, size = [], 0
    if part:
        yield "\n".join(part)


def documents(root: Path) -> Iterator[tuple[str, str]]:
    """Id and text of real English documents, clean and dirty."""
    for name, key, every in SOURCES:
        with gzip.open(root / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                text = json.loads(line).get(key) if number % every == 0 else None
                if isinstance(text, str):
                    cut = pieces(text) if name.startswith("pretrain") and len(text) > 3 * PIECE else [text]
                    for place, part in enumerate(cut):
                        yield f"{name}-{key}-{number}-{place}", part


def run(side: str, python: str, source: Path, target: Path, families: tuple[str, ...] = FAMILIES) -> float:
    """CPU seconds, with those of children."""
    target.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if python == sys.executable else "", "HF_HUB_OFFLINE": "1"}
    with (target / "log").open("w") as log:
        child = subprocess.Popen(
            [python, SIDES, side, source, target / "out", ",".join(families)], env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{side} failed:\n{(target / 'log').read_text()[-3000:]}")
    return usage.ru_utime + usage.ru_stime


def peers_python(given: str | None, folder: Path) -> str:
    """Python of the peers' environment, made when none is given."""
    if given:
        return f"{given}/bin/python" if Path(given).is_dir() else given
    print("making the peers' environment …", flush=True)
    subprocess.check_call([sys.executable, "-m", "venv", f"{folder}/peers"])
    subprocess.check_call([f"{folder}/peers/bin/python", "-m", "pip", "install", "--quiet", *PEERS])
    return f"{folder}/peers/bin/python"


def agree(source: Path, python: str, folder: Path) -> dict[str, Any]:
    """Shares of documents with the same decision, with the same reason, and with the same text after C4."""
    run("decide_ours", sys.executable, source, folder / "mine")
    run("decide_datatrove", python, source, folder / "theirs")
    mine, theirs = (pq.read_table(folder / name / "out/decisions.parquet").to_pydict() for name in ("mine", "theirs"))
    result: dict[str, Any] = {}
    count = len(mine["id"])
    for family in FAMILIES:
        both = list(zip(mine["id"], mine[family], theirs[family], strict=True))
        result[f"agreement_{family}"] = sum((ours == "") == (other == "") for _, ours, other in both) / count
        result[f"same_reason_{family}"] = sum(ours == other for _, ours, other in both) / count
        dropped = sum(other != "" for _, _, other in both) / count
        print(f"{family:18} agreement {result[f'agreement_{family}']:.5f}, same reason "
              f"{result[f'same_reason_{family}']:.5f}, dropped {dropped:.3f}")  # fmt: skip
        for id_, ours, other in [row for row in both if row[1] != row[2]][:20]:
            print(f"    {id_}: ours {ours or 'kept'}, datatrove {other or 'kept'}")
    texts = [ours == other for ours, other in zip(mine["c4_text"], theirs["c4_text"], strict=True)]
    result["same_text_c4"] = sum(texts) / count
    print(f"text after c4 is the same in {result['same_text_c4']:.5f}")
    return {"agreement": min(result[f"agreement_{family}"] for family in FAMILIES), **result}


def compare(python: str, source: Path, folder: Path, repeats: int, each: bool) -> dict[str, float]:
    """CPU seconds of all sides; print as they finish."""
    run("words", sys.executable, source, folder / "words")
    (folder / "words/out/words.parquet").rename(source.parent / "words.parquet")
    result: dict[str, float] = {}
    sets: list[tuple[str, tuple[str, ...]]] = [("", FAMILIES), *((f"_{name}", (name,)) for name in FAMILIES if each)]
    for suffix, families in sets:
        mine = statistics.median(
            run("ours", sys.executable, source, folder / f"ours{suffix}{turn}", families) for turn in range(repeats)
        )
        result[f"cpu_ours{suffix}"] = mine
        for side in ("same_words", "datatrove"):
            theirs = run(side, python, source, folder / f"{side}{suffix}", families)
            if side == "same_words":  # less the reading of the words
                theirs -= run(side, python, folder / "nothing", folder / f"{side}{suffix}-start", families)
                theirs += run("datatrove", python, folder / "nothing", folder / f"datatrove{suffix}-start", families)
            result[f"ratio_{side}{suffix}"] = theirs / mine
            print(f"{suffix[1:] or 'all four':18} {side:11} {theirs:8.2f} CPU-s, ours {mine:6.2f}: "
                  f"{theirs / mine:6.1f}x", flush=True)  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("PLUMBLINE_TEST_DATA"))
    parser.add_argument("--documents", type=int, default=0, help="0: all of them, about 22,000")
    parser.add_argument("--peers", help="environment, or its Python, with datatrove and spaCy")
    parser.add_argument("--repeats", type=int, default=3, help="of our side")
    parser.add_argument("--each", action="store_true", help="times of each family alone too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("name the data folder: --data-root or PLUMBLINE_TEST_DATA")
    rows = list(documents(Path(options.data_root)))
    rows = rows[:: max(1, len(rows) // options.documents)] if options.documents else rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "in"
        source.mkdir()
        (folder / "nothing").mkdir()
        table = pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows]})
        pq.write_table(table, source / "documents.parquet", compression="zstd")
        pq.write_table(table.slice(0, 0), folder / "nothing/documents.parquet")
        print(f"{len(rows):,} documents, {sum(len(row[1].encode()) for row in rows) / 1e6:.1f} MB", flush=True)
        python = peers_python(options.peers, folder)
        result = {"documents": len(rows), **agree(source, python, folder)}
        result |= compare(python, source, folder, options.repeats, options.each)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
