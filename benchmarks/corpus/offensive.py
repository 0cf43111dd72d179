"""Offensive text: what a word list finds in labelled posts, in English and Chinese.

    python benchmarks/corpus/offensive.py --data FOLDER [--json]

FOLDER holds gold/: davidson_hate_offensive (tweets; offensive is class 0 or 1), cold_dev_zh (label 1), and the lists
ldnoobw_en and ldnoobw_zh. A post counts as found when one term of the list stands in it. The lists are not part of the
project; this shows what any such list can and cannot do.
"""

import argparse
import json
import os
import time
import unicodedata
from typing import Any

from labelled import gold_rows

from tasks.corpus.terms import TermList, fold


def measure(terms: TermList, posts: list[tuple[str, bool]]) -> dict[str, Any]:
    begin = time.process_time()
    found = [bool(terms.find(text)) for text, _ in posts]
    speed = len(posts) / (time.process_time() - begin)
    hits = sum(hit and bad for hit, (_, bad) in zip(found, posts, strict=True))
    bad = sum(label for _, label in posts)
    precision = hits / max(sum(found), 1)
    return {
        "posts": len(posts),
        "offensive": bad,
        "terms": terms.size,
        "precision": round(precision, 4),
        "recall": round(hits / bad, 4),
        "base_rate": round(bad / len(posts), 4),
        "posts_per_second": round(speed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PLUMBLINE_TEST_DATA", ""))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    english = [(row["tweet"], row["class"] != "2") for row in gold_rows(options.data, "davidson_hate_offensive")]
    chinese = [(row["TEXT"], row["label"] == "1") for row in gold_rows(options.data, "cold_dev_zh")]
    results = {}
    for language, posts in (("en", english), ("zh", chinese)):
        rows = gold_rows(options.data, f"ldnoobw_{language}")
        terms = sorted({fold(unicodedata.normalize("NFC", row["term"].strip())) for row in rows if row["term"].strip()})
        results[language] = measure(TermList(f"offensive_{language}", terms), posts)
        print(language, "  ".join(f"{name} {value}" for name, value in results[language].items()))
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
