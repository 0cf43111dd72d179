"""Decontamination: planted evaluation items, clean controls and hard negatives of real text; speed beside peers.

    python benchmarks/corpus/contamination.py [--data FOLDER] [--peers .peers] [--skip-peer] [--json]

FOLDER holds eval/, pretrain/ and web/. All nine sets of eval/ are searched for at once with the default settings.
Planted: 25 of each kind, items put inside real documents (see `KINDS`). Clean: 500 real documents, drawn from all of
pretrain/ and web/c4_demo; then all of them; what is found there is printed, for a person to judge. Hard negatives:
real documents with 8 to 12 words (9 to 16 characters of Chinese) of an item. Speed: CPU seconds on one core, median
of the repeats, of the same texts in memory; "plain" is a Python set of n-gram tuples, datatrove its
NGramsDecontFilter with an index of the same passages, made by its own functions, in the .peers environment.
"""

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelled import peer_python, side

SETS: dict[str, tuple[str, ...]] = {
    "mmlu_dev": ("question", "A", "B", "C", "D"),
    "mmlu_val": ("question", "A", "B", "C", "D"),
    "ceval_dev": ("question", "A", "B", "C", "D"),
    "cmmlu_dev": ("Question", "A", "B", "C", "D"),
    "gsm8k_train": ("question", "answer"),
    "ifeval": ("prompt",),
    "truthfulqa": ("Question", "Best Answer"),
    "mt_bench_question": ("turns",),
    "humaneval_first20": ("prompt", "canonical_solution"),
}
CHINESE = ("ceval_dev", "cmmlu_dev")
HAN = re.compile(r"[\u4e00-\u9fff]")
PEERS = 'datatrove[processing]==0.10.1 "xxhash<4" tokenizers'
CLEAN, PLANTED, SPEED_BYTES, PEER_BYTES = 500, 25, 40_000_000, 2_000_000


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@dataclass(frozen=True)
class Item:
    """An evaluation item: its set and id, the text of its first field, and the others."""

    set: str
    id: str
    first: str
    others: list[str]


def items_of(root: Path) -> list[Item]:
    found = []
    for name, fields in SETS.items():
        for line, row in enumerate(rows(root / "eval" / f"{name}.jsonl.gz"), start=1):
            texts = ["\n".join(row[field]) if isinstance(row[field], list) else str(row[field]) for field in fields]
            found.append(Item(name, f"{name}.jsonl.gz:{line}", texts[0], texts[1:]))
    return found


def documents(root: Path) -> Iterator[tuple[str, str]]:
    """Id and text of real documents; books are cut into pieces of about 4,000 characters at paragraph ends."""
    for path in (*sorted((root / "pretrain").glob("*.jsonl.gz")), root / "web" / "c4_demo.jsonl.gz"):
        for number, row in enumerate(rows(path)):
            text = row.get("text") or "\n".join(value for value in row.values() if isinstance(value, str))
            start = part = 0
            while start < len(text):
                end = text.find("\n\n", start + 4000)
                end = len(text) if end < 0 else end
                yield f"{path.name.split('.')[0]}:{number}:{part}", text[start:end]
                start, part = end, part + 1


def full_width(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def lettered(item: Item) -> str:
    choices = zip("ABCDEFG", item.others, strict=False)
    return "\n".join((f"Question: {item.first}", *(f"{letter}. {text}" for letter, text in choices)))


def half(item: Item, draw: random.Random) -> str:
    """Half of a long item's words (characters in Chinese), from a random place."""
    parts = list(item.first) if item.set in CHINESE else item.first.split()
    start = draw.randint(0, len(parts) - len(parts) // 2)
    return ("" if item.set in CHINESE else " ").join(parts[start : start + len(parts) // 2])


def broken(item: Item, draw: random.Random) -> str:
    return "".join("\n" if one == " " and draw.random() < 0.3 else one for one in item.first)


def punctuated(item: Item, draw: random.Random) -> str:
    kept = "".join(" " if one in ",.;:?!\"()'" else one for one in item.first)
    return "".join(" -- " if one == " " and draw.random() < 0.1 else one for one in kept)


def words_of(item: Item) -> int:
    return len(item.first.split())


# Kind → (which items, how they are written)
KINDS: dict[str, tuple[Any, Any]] = {
    "verbatim": (lambda item: item.set not in CHINESE and words_of(item) > 13, lambda item, draw: item.first),
    "case": (lambda item: item.set not in CHINESE and words_of(item) > 13, lambda item, draw: item.first.upper()),
    "punctuation": (lambda item: item.set not in CHINESE and words_of(item) > 13, punctuated),
    "line breaks": (lambda item: item.set not in CHINESE and words_of(item) > 13, broken),
    "full width": (lambda item: item.set == "gsm8k_train", lambda item, draw: full_width(item.first)),
    "half": (lambda item: item.set not in CHINESE and words_of(item) >= 34, half),
    "choices": (lambda item: item.set == "mmlu_val", lambda item, draw: lettered(item)),
    "short": (lambda item: item.set in ("mmlu_val", "truthfulqa") and 6 <= words_of(item) < 13,
              lambda item, draw: item.first),
    "chinese": (lambda item: item.set in CHINESE and len(item.first) >= 20, lambda item, draw: item.first),
    "chinese half": (lambda item: item.set in CHINESE and len(HAN.findall(item.first)) >= 50, half),
    "chinese short": (lambda item: item.set in CHINESE and 10 <= len(item.first) < 20, lambda item, draw: item.first),
}  # fmt: skip


def inserted(text: str, planted: str, draw: random.Random) -> str:
    """The planted text as a paragraph of its own inside a document."""
    paragraphs = text[:6000].split("\n\n")
    paragraphs.insert(draw.randint(0, len(paragraphs)), planted)
    return "\n\n".join(paragraphs)


def hard_negative(item: Item, draw: random.Random) -> str:
    """8 to 12 words of a longer item, 9 to 16 characters in Chinese, and more of the document around them."""
    chinese = item.set in CHINESE
    parts = list(item.first) if chinese else item.first.split()
    count = draw.randint(9, 16) if chinese else draw.randint(8, 12)
    start = draw.randint(0, len(parts) - count)
    run = parts[start : start + count]
    return "以下" + "".join(run) + "诸如此类" if chinese else f"therefore {' '.join(run)} notwithstanding"


def build(root: Path) -> tuple[Any, Any]:
    from configs.schema.contamination import ContaminationConfig, EvaluationSet
    from tasks.corpus.contamination import build_index

    sets = [EvaluationSet(name=name, path=name, fields=list(fields)) for name, fields in SETS.items()]
    config = ContaminationConfig(sets=sets)
    return config, build_index(config, {name: [root / "eval" / f"{name}.jsonl.gz"] for name in SETS})


def speed_texts(root: Path, size: int) -> list[str]:
    """A random share of the documents, up to so many bytes."""
    texts = [text for _, text in documents(root)]
    random.Random(1).shuffle(texts)
    total, chosen = 0, []
    for text in texts:
        total += len(text.encode())
        if total > size:
            break
        chosen.append(text)
    return chosen


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def our_speed(index: Any, texts: list[str], repeats: int) -> float:
    """MB a CPU second, in batches of about 4 MB."""
    from tasks.corpus.neardup.texts import from_strings

    size = 4_000_000 // max(1, sum(map(len, texts)) // len(texts))
    batches = [from_strings(texts[start : start + size]) for start in range(0, len(texts), size)]
    times = []
    for turn in range(repeats + 1):
        begin = time.process_time()
        for batch in batches:
            index.check(batch)
        if turn:  # the first loads compiled code
            times.append(time.process_time() - begin)
    return megabytes(texts) / statistics.median(times)


def plain_speed(index: Any, texts: list[str]) -> tuple[float, list[bool]]:
    """MB a CPU second of a Python set of tuples, and what it finds. It is given the index's own n-grams."""
    from tasks.corpus.contamination.words import folded_words

    table = index.table
    known: dict[int, set[tuple[str, ...]]] = {}
    words = [folded_words(text) for text in index.passages.to_pylist()]
    for passage, word, length in zip(
        table.passages.tolist(), table.words.tolist(), table.lengths.tolist(), strict=True
    ):
        known.setdefault(length, set()).add(tuple(words[passage][word : word + length]))
    begin = time.process_time()
    found = []
    for text in texts:
        own = folded_words(text)
        found.append(
            any(
                tuple(own[at : at + size]) in grams
                for size, grams in known.items()
                for at in range(len(own) - size + 1)
            )
        )
    return megabytes(texts) / (time.process_time() - begin), found


def datatrove(root: Path) -> dict[str, Any]:
    """Its filter over the same passages' n-grams, indexed by its own functions. English texts, its default."""
    import numpy as np
    from datatrove.data import Document
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.hashing import create_hash_func
    from datatrove.utils.text import ngrams, simplify_text
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    config = NGramsDecontConfig()
    tokenizer, hashed = load_word_tokenizer("eng"), create_hash_func(config.hash_config)
    keys = set()
    for item in items_of(root):
        for text in (item.first, *item.others):
            words = tokenizer.word_tokenize(simplify_text(text, config.norm_config))
            keys.update(hashed(" ".join(gram)) for gram in ngrams(words, config.n_grams))
    texts = speed_texts(root, PEER_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        np.array(sorted(keys), dtype=config.hash_config.np_descr).tofile(Path(folder) / "all.index.hashes")
        step = NGramsDecontFilter(folder, config)
        step.filter(Document(text="warm up", id="0"))
        begin = time.process_time()
        for number, text in enumerate(texts):
            step.filter(Document(text=text, id=str(number)))
        spent = time.process_time() - begin
    return {"speed": megabytes(texts) / spent, "bytes": int(megabytes(texts) * 1e6)}


def planted_found(index: Any, texts: list[str], draw: random.Random, items: list[Item]) -> dict[str, tuple[int, int]]:
    """Of each kind, plants found with the right item, and plants."""
    from tasks.corpus.neardup.texts import from_strings

    result = {}
    for kind, (fits, write) in KINDS.items():
        chosen = draw.sample([item for item in items if fits(item)], PLANTED)
        made = [inserted(draw.choice(texts), write(item, draw), draw) for item in chosen]
        hits = index.check(from_strings(made))
        right = [hit is not None and (item.set, item.id) in hit.found for item, hit in zip(chosen, hits, strict=True)]
        for item, ok in zip(chosen, right, strict=True):
            if not ok:
                print(f"  not found ({kind}): {item.id} {item.first[:100]!r}")
        result[kind] = (sum(right), len(right))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PLUMBLINE_TEST_DATA", ""))
    parser.add_argument("--peers", default=os.environ.get("PLUMBLINE_PEERS", ".peers"))
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("datatrove",), help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = Path(options.data)
    if not options.data or not (root / "eval").is_dir():
        raise SystemExit(f"no {root / 'eval'}: give --data FOLDER or set PLUMBLINE_TEST_DATA")
    if options.side:
        print(json.dumps(datatrove(root)))
        return
    values = measure(options, root)
    if options.json:
        print(json.dumps(values))


def measure(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All figures, printed as they come."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tasks.corpus.contamination import Found, report
    from tasks.corpus.neardup.texts import from_strings

    begin = time.process_time()
    _, index = build(root)
    print(
        f"index: {len(index.items)} items, {len(index.table.keys):,} n-grams, {time.process_time() - begin:.1f} CPU-s"
    )
    draw = random.Random(options.seed)
    everything = list(documents(root))
    hits = index.check(from_strings([text for _, text in everything]))
    found = Found()
    for (id_, _), hit in zip(everything, hits, strict=True):
        if hit is not None:
            found.add(id_, id_.split(":")[0], hit)
    for one in report(index, found):
        for example in one.examples:
            print(f"  found in real text: {one.name} {example.item} in {example.document}: {example.text!r}")
    clean = draw.sample(range(len(everything)), CLEAN)
    false = sum(hits[at] is not None for at in clean)
    texts = [text for (_, text), hit in zip(everything, hits, strict=True) if hit is None and len(text) > 200]
    items = items_of(root)
    kinds = planted_found(index, texts, draw, items)
    long = [item for item in items if (len(item.first) >= 40 if item.set in CHINESE else words_of(item) > 20)]
    negatives = [inserted(draw.choice(texts), hard_negative(item, draw), draw) for item in draw.sample(long, CLEAN)]
    hard = [hit for hit in index.check(from_strings(negatives)) if hit is not None]
    for hit in hard:
        print(f"  hard negative taken: {hit.item} {hit.text!r}")
    for kind, (right, count) in kinds.items():
        print(f"{kind:14} {right:4} of {count} found")
    print(f"clean: {false} of {CLEAN} found; all real documents: {found.documents} of {len(everything)}")
    print(f"hard negatives: {len(hard)} of {CLEAN} found")
    values: dict[str, Any] = {
        "planted_found": sum(right for right, _ in kinds.values()),
        "planted": sum(count for _, count in kinds.values()),
        "kinds": {kind: list(pair) for kind, pair in kinds.items()},
        "false_of_500": false,
        "hard_negatives_of_500": len(hard),
        "real_documents": len(everything),
        "real_found": found.documents,
    }
    return values | speeds(options, index, root)


def speeds(options: argparse.Namespace, index: Any, root: Path) -> dict[str, Any]:
    """MB a CPU second of each side."""
    large, small = speed_texts(root, SPEED_BYTES), speed_texts(root, PEER_BYTES)
    ours, ours_small = our_speed(index, large, options.repeats), our_speed(index, small, options.repeats)
    plain, flags = plain_speed(index, small)
    from tasks.corpus.neardup.texts import from_strings

    if flags != [hit is not None for hit in index.check(from_strings(small))]:
        raise SystemExit("the plain implementation finds other documents")
    values = {"mb_per_second": round(ours, 1), "plain": round(plain, 3), "ratio_plain": round(ours_small / plain, 1)}
    print(f"plumbline {ours:.1f} MB a CPU second ({ours_small:.1f} on the peers' texts), plain Python {plain:.3f}")
    if not options.skip_peer:
        peer = side(__file__, "datatrove", options.data, peer_python(options.peers, PEERS))
        values |= {"datatrove": round(peer["speed"], 3), "ratio_datatrove": round(ours_small / peer["speed"], 1)}
        print(f"datatrove {peer['speed']:.3f} MB a CPU second")
    return values


if __name__ == "__main__":
    main()
