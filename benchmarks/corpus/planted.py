"""Near-duplicate gold from real texts: pairs made by edits, and hard negatives, each with its exact similarity.

Words, shingles and similarities are computed here in plain Python, apart from the engine that is measured.
"""

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHINGLE = 5
TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
CHINESE = re.compile(r"[\u3400-\u9fff]")
# File, keys that make up the text; long texts are cut into passages
SOURCES = {
    "en": (
        ("pretrain/classic_books_en", ("text",)),
        ("pretrain/peps", ("text",)),
        ("instruct/alpaca_52k_en", ("instruction", "input", "output")),
        ("instruct/dolly_partial", ("instruction", "response")),
        ("web/c4_demo", ("text",)),
    ),
    "zh": (
        ("pretrain/laws_zh", ("text",)),
        ("pretrain/zhwiki_paragraphs", ("text",)),
        ("pretrain/d2l_zh", ("text",)),
        ("instruct/alpaca_zh_17k", ("instruction", "input", "output")),
        ("instruct/zh_extra_10k", ("instruction", "input", "output")),
    ),
}
Edit = Callable[[list[str], list[str], random.Random], list[str]]


@dataclass(frozen=True)
class Pair:
    """Two texts, how the second came from the first, and their exact Jaccard similarity."""

    left: str
    right: str
    kind: str
    language: str
    similarity: float


def shingles(text: str) -> set[tuple[str, ...]]:
    """Runs of five words (characters in Chinese), of all words in a shorter text."""
    words = TOKEN.findall(text.lower())
    width = min(SHINGLE, len(words))
    return {tuple(words[start : start + width]) for start in range(len(words) - width + 1)} if words else set()


def similarity(left: str, right: str) -> float:
    """Exact Jaccard similarity of the shingles of two texts."""
    one, other = shingles(left), shingles(right)
    return len(one & other) / max(1, len(one | other))


def passages(root: Path, language: str, characters: int = 1400) -> Iterator[str]:
    """Texts of the language under the data folder, long ones cut at white space or full stops."""
    for name, keys in SOURCES[language]:
        with gzip.open(root / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row: dict[str, Any] = json.loads(line)
                text = "\n".join(str(row[key]) for key in keys if row.get(key))
                if bool(CHINESE.search(text)) == (language == "zh"):
                    yield from _cut(text, characters if language == "en" else characters // 3)


def make_pairs(texts: list[str], language: str, count: int, seed: int = 0) -> list[Pair]:
    """Up to ``count`` pairs from texts of which no two have much in common, kinds in turn, strengths drawn.

    About two thirds of the similarities lie from .7 up, most of the others between .4 and .7.
    """
    draw = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    pool: list[str] = []
    for text in draw.sample(texts, len(texts)):
        own = shingles(text)
        if len(own) >= 60 and len(own & seen) <= 0.02 * len(own):
            seen |= own
            pool.append(text)
        if len(pool) == 2 * count:
            break
    kinds = list(EDITS)
    pairs: list[Pair] = []
    # Each text in one pair only; the partner lends words, and is itself used up
    for base, other in zip(pool[::2], pool[1::2], strict=False):
        kind = kinds[len(pairs) % len(kinds)]
        left, right = _edited(kind, base, other, language, draw)
        pairs.append(Pair(left, right, kind, language, similarity(left, right)))
    return pairs


def _cut(text: str, size: int) -> Iterator[str]:
    start = 0
    while len(text) - start > size * 1.5:
        end = max(text.rfind(mark, start + size // 2, start + size) for mark in (" ", "。", "\n")) + 1 or start + size
        yield text[start:end].strip()
        start = end
    if len(text) - start > 20:
        yield text[start:].strip()


def _edited(kind: str, base: str, other: str, language: str, draw: random.Random) -> tuple[str, str]:
    words, foreign = _units(base, language), _units(other, language)
    if kind == "boilerplate":
        return _boilerplate(words, foreign, draw)
    return base, "".join(EDITS[kind](words, foreign, draw))


def _units(text: str, language: str) -> list[str]:
    """Pieces that edits move: words with the white space after them, characters in Chinese."""
    return re.findall(r"[a-zA-Z0-9]+|.", text, re.DOTALL) if language == "zh" else re.findall(r"\S+\s*|\s+", text)


def _substitute(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    share = draw.choice((0.005, 0.01, 0.02, 0.03, 0.04, 0.06))
    return [draw.choice(foreign) if draw.random() < share else word for word in words]


def _delete(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    length = int(len(words) * draw.uniform(0.02, 0.4))
    start = draw.randrange(len(words) - length + 1)
    return words[:start] + words[start + length :]


def _insert(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    start = draw.randrange(len(words) + 1)
    return words[:start] + foreign[: int(len(words) * draw.uniform(0.02, 0.6))] + words[start:]


def _shuffle(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    parts = draw.randint(2, 8)
    size = -(-len(words) // parts)
    blocks = [words[start : start + size] for start in range(0, len(words), size)]
    draw.shuffle(blocks)
    return [word for block in blocks for word in [*block, "\n"]]


def _retype(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    """Case, white space and punctuation only."""
    return [word.upper() if draw.random() < 0.2 else word.replace(",", " ;").replace(" ", "  ") for word in words]


def _truncate(words: list[str], foreign: list[str], draw: random.Random) -> list[str]:
    return words[: max(1, int(len(words) * draw.uniform(0.55, 0.95)))]


def _boilerplate(words: list[str], foreign: list[str], draw: random.Random) -> tuple[str, str]:
    """Hard negative: two bodies in one frame, which makes up a third to nearly all of what similarity allows."""
    frame = int(len(words) * draw.uniform(0.25, 0.6))
    body = min(len(foreign) // 2, max(10, int(frame * draw.uniform(0.3, 0.7))))
    head, foot = words[: frame // 2], words[-(frame - frame // 2) :]
    first = "".join([*head, "\n", *foreign[:body], "\n", *foot])
    second = "".join([*head, "\n", *foreign[-body:], "\n", *foot])
    return first, second


EDITS: dict[str, Edit] = {
    "substitute": _substitute,
    "delete": _delete,
    "insert": _insert,
    "shuffle": _shuffle,
    "retype": _retype,
    "truncate": _truncate,
    "boilerplate": lambda words, foreign, draw: words,
}
