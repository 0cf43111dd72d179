"""Personal data: precision, recall and speed beside presidio's pattern recognizers, on the same labelled sentences.

    python benchmarks/corpus/pii.py --data FOLDER [--peers .peers] [--repeats 3] [--json]

FOLDER holds gold/presidio_synth_v2.jsonl.gz; .peers is a virtual environment with presidio-analyzer==2.2.366. Its
default engine downloads a language model at run time, so its recognizers of these kinds are called directly, as the
engine calls them. A span counts as found when one of its kind overlaps it, and as false when it overlaps none.
Speed is sentences a CPU second on one core, all kinds together, the median of the repeats; the sides take turns.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from labelled import gold_rows, peer_python, side

LABELS = {
    "email": ("EMAIL_ADDRESS", "EMAIL_ADDRESS"),
    "phone": ("PHONE_NUMBER", "PHONE_NUMBER"),
    "card": ("CREDIT_CARD", "CREDIT_CARD"),
    "iban": ("IBAN_CODE", "IBAN_CODE"),
    "ip": ("IP_ADDRESS", "IP_ADDRESS"),
    "ssn": ("US_SSN", "US_SSN"),
    "url": ("DOMAIN_NAME", "URL"),
}
PEERS = "presidio-analyzer==2.2.366"
Find = Callable[[str], list[tuple[int, int, str]]]


def plumbline() -> Find:
    from tasks.corpus.pii import find_pii

    return lambda text: find_pii(text, "US")


def presidio() -> Find:
    import logging

    logging.disable(logging.CRITICAL)  # the URL recognizer reports that it cannot download the public suffix list
    from presidio_analyzer import predefined_recognizers as known

    names = ("Email", "Phone", "CreditCard", "Iban", "Ip", "UsSsn", "Url")
    recognizers = [getattr(known, f"{name}Recognizer")() for name in names]
    kinds = {peer: kind for kind, (_, peer) in LABELS.items()}
    pairs = [(kinds[peer], peer, one) for (_, peer), one in zip(LABELS.values(), recognizers, strict=True)]

    def find(text: str) -> list[tuple[int, int, str]]:
        return [
            (result.start, result.end, kind)
            for kind, peer, recognizer in pairs
            for result in recognizer.analyze(text, [peer], None) or []
        ]

    return find


def measure(rows: list[dict[str, Any]], find: Find) -> dict[str, Any]:
    """Counts by kind (labelled, found, false) and sentences a CPU second."""
    texts = [row["full_text"] for row in rows]
    for text in texts[:200]:
        find(text)
    begin = time.process_time()
    results = [find(text) for text in texts]
    speed = len(texts) / (time.process_time() - begin)
    counts = {kind: [0, 0, 0] for kind in LABELS}
    for row, spans in zip(rows, results, strict=True):
        for kind, (label, _) in LABELS.items():
            gold = [(s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] == label]
            ours = [(start, end) for start, end, found in spans if found == kind]
            counts[kind][0] += len(gold)
            counts[kind][1] += sum(any(a < y and x < b for x, y in ours) for a, b in gold)
            counts[kind][2] += sum(not any(a < y and x < b for a, b in gold) for x, y in ours)
    return {"speed": speed, "counts": counts}


def precision(counts: list[int]) -> float:
    _, found, false = counts
    return round(found / (found + false), 4) if found + false else 1.0


def recall(counts: list[int]) -> float:
    return round(counts[1] / counts[0], 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PLUMBLINE_TEST_DATA", ""))
    parser.add_argument("--peers", default=os.environ.get("PLUMBLINE_PEERS", ".peers"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("plumbline", "presidio"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        find = plumbline() if options.side == "plumbline" else presidio()
        print(json.dumps(measure(gold_rows(options.data, "presidio_synth_v2"), find)))
        return
    python = peer_python(options.peers, PEERS)
    rounds = [
        (side(__file__, "plumbline", options.data), side(__file__, "presidio", options.data, python))
        for _ in range(options.repeats)
    ]
    ours, peer = rounds[0]
    speeds = [statistics.median(pair[at]["speed"] for pair in rounds) for at in (0, 1)]
    ratio = statistics.median(one["speed"] / other["speed"] for one, other in rounds)
    print(f"{'kind':8} {'labelled':>8}   plumbline: found false   presidio: found false")
    for kind in LABELS:
        (labelled, found, false), (_, theirs, wrong) = ours["counts"][kind], peer["counts"][kind]
        print(f"{kind:8} {labelled:8}   {found:16} {false:5}   {theirs:15} {wrong:5}")
    print(f"sentences a CPU second: plumbline {speeds[0]:.0f}, presidio {speeds[1]:.0f}, ratio {ratio:.1f}")
    if options.json:
        values: dict[str, Any] = {"ratio_presidio": round(ratio, 2), "docs_per_second": round(speeds[0])}
        for name, score in (("precision", precision), ("recall", recall)):
            values[name] = {kind: score(ours["counts"][kind]) for kind in LABELS}
            values[f"{name}_presidio"] = {kind: score(peer["counts"][kind]) for kind in LABELS}
        values["at_least_presidio"] = all(
            values[name][kind] >= values[f"{name}_presidio"][kind]
            for name in ("precision", "recall")
            for kind in LABELS
        )
        print(json.dumps(values))


if __name__ == "__main__":
    main()
