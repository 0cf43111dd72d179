"""Main text of HTML pages: token F1 against gold text, and pages a CPU second, of the two extractors.

    python benchmarks/corpus/main_text.py --data FOLDER [--repeats 3] [--json]

FOLDER holds web/article_extraction_html.jsonl.gz (keys html and articleBody). Tokens are
runs of letters and digits. F1 is of 4-grams of tokens, and of single tokens;
the mean over pages. Speed is the median of the repeats on one core; the sides take turns. `all text` is resiliparse
without looking for the main part.
"""

import argparse
import gzip
import json
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tasks.formats.main_text import main_text

TOKEN = re.compile(r"\w+")


def all_text(html: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(html, main_content=False, alt_texts=False))


SIDES: dict[str, Callable[[str], str]] = {
    "resiliparse": lambda html: main_text(html, "resiliparse"),
    "trafilatura": lambda html: main_text(html, "trafilatura"),
    "all text": all_text,
}


def shared(found: str, gold: str, n: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of the n-grams of tokens, each as often as it occurs."""
    one, two = grams(found, n), grams(gold, n)
    both = (one & two).total()
    precision = both / one.total() if one else float(not two)
    recall = both / two.total() if two else 1.0
    return precision, recall, 2 * precision * recall / (precision + recall) if both else float(not one and not two)


def grams(text: str, n: int) -> Counter[tuple[str, ...]]:
    tokens = TOKEN.findall(text)
    size = max(1, min(n, len(tokens)))
    return Counter(zip(*(tokens[at:] for at in range(size)), strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PLUMBLINE_TEST_DATA", ""))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with gzip.open(Path(options.data) / "web" / "article_extraction_html.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    texts: dict[str, list[str]] = {}
    for extract in SIDES.values():
        extract(rows[0]["html"])
    for _ in range(options.repeats):
        for name, extract in SIDES.items():
            begin = time.process_time()
            texts[name] = [extract(row["html"]) for row in rows]
            times[name].append(time.process_time() - begin)
    results = {}
    print(f"{'':12} {'F1':>6} {'precision':>10} {'recall':>7} {'4-gram F1':>10} {'empty':>6} {'pages/CPU s':>12}")
    for name in SIDES:
        single = [shared(text, row["articleBody"], 1) for text, row in zip(texts[name], rows, strict=True)]
        fours = [shared(text, row["articleBody"], 4)[2] for text, row in zip(texts[name], rows, strict=True)]
        precision, recall, f1 = (statistics.mean(values) for values in zip(*single, strict=True))
        empty = sum(not text.strip() for text in texts[name])
        speed = len(rows) / statistics.median(times[name])
        mean = statistics.mean(fours)
        print(f"{name:12} {f1:6.3f} {precision:10.3f} {recall:7.3f} {mean:10.3f} {empty:6} {speed:12,.0f}")
        results[name] = {
            "f1": round(f1, 4),
            "f1_4grams": round(mean, 4),
            "pages_per_second": round(speed),
        }
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
