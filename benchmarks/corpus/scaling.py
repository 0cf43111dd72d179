"""The whole corpus stage on an input and on ten times as much: peak memory and time.

    python benchmarks/corpus/scaling.py [--documents 20000] [--times 10] [--workers 2] [--repeats 1] [--json]

Each run is a process of its own over JSON lines: reading, filters, personal data, exact and near duplicates, writing.
Documents are drawn from a vocabulary with the frequencies of a language (Zipf), a tenth of them near copies of others.
Peak: of the driving process and of its workers, each at its own highest, added. Last line with --json:
{"inverse_memory_growth": peak at 1x / peak at 10x, "time_growth": seconds at 10x / seconds at 1x, …}.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# fmt: off
FUNCTION_WORDS = [
    "the", "of", "and", "to", "a", "in", "that", "is", "was", "it", "for", "on", "with", "as", "at", "by", "this",
    "have", "from", "they",
]
# fmt: on
WORDS_A_DOCUMENT = 150


def generate(path: Path, documents: int) -> None:
    """Documents of about 150 words, a line each."""
    draw = random.Random(0)
    letters = "bcdfghklmnprstvw", "aeiou"
    vocabulary = FUNCTION_WORDS + [
        "".join(draw.choice(letters[place % 2]) for place in range(draw.randint(4, 9))) for _ in range(30_000)
    ]
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(vocabulary))))
    last: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(documents):
            if number % 10 == 9:
                words = [*last[:-2], *draw.choices(vocabulary, cum_weights=weights, k=4)]
            else:
                words = draw.choices(vocabulary, cum_weights=weights, k=WORDS_A_DOCUMENT)
            last = words
            file.write(json.dumps({"id": f"d{number:08d}", "text": " ".join(words) + "."}) + "\n")


def build(source: Path, folder: Path, workers: int) -> None:
    """One corpus; prints seconds and peak memory in MB."""
    from configs.schema.corpus import CorpusConfig
    from configs.schema.sources import TextSource
    from tasks.corpus.build import build_corpus
    from tasks.inputs import Inputs
    from tasks.live import Live

    config = CorpusConfig(sources=[TextSource(name="drawn", path="drawn")], seed=0, workers=workers)
    (folder / "out").mkdir()
    (folder / "work").mkdir()
    begin = time.monotonic()
    metrics = build_corpus(config, Inputs(sources={"drawn": [source]}), folder / "out", Live(folder / "work"))
    seconds = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if workers > 1:
        peak += workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "kept": metrics["kept"]}))


def measure(documents: int, options: argparse.Namespace) -> dict[str, float]:
    """Medians of the repeats."""
    runs = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "drawn.jsonl"
        generate(source, documents)
        for repeat in range(options.repeats):
            folder = Path(name) / str(repeat)
            folder.mkdir()
            command = [sys.executable, __file__, "--build", str(source), str(folder), "--workers", str(options.workers)]
            runs.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
        size = source.stat().st_size / 1e6
    found = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mb", "kept")}
    print(
        f"{documents:9,} documents {size:7.1f} MB  {found['seconds']:7.1f} s  {found['peak_mb']:6.0f} MB  "
        f"{found['kept']:9,.0f} kept",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--build", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(*options.build, options.workers)
        return
    small, large = measure(options.documents, options), measure(options.documents * options.times, options)
    result = {
        "inverse_memory_growth": small["peak_mb"] / large["peak_mb"],
        "time_growth": large["seconds"] / small["seconds"],
        "times": options.times,
        **{f"{key}_{name}": run[key] for name, run in (("1x", small), ("10x", large)) for key in run},
    }
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
