"""The filters in plain Python, one document at a time, for comparison; arithmetic as in datatrove 0.10.1."""

import re
import unicodedata
from collections import Counter

from tasks.corpus.words import is_unspaced, words_of

NOT_LETTER = re.compile(r"[^\w\s]|[\d_]")


def letters(text: str) -> float:
    if text.isascii():
        return sum(one.isalpha() or one.isspace() for one in text) / max(len(text), 1)
    return 1 - sum(unicodedata.category(one)[0] != "M" for one in NOT_LETTER.findall(text)) / len(text)


def symbols_per_word(text: str, language: str) -> float:
    words = words_of(text) if is_unspaced(language) else text.split()
    return (text.count("#") + text.count("…") + text.count("...")) / max(len(words), 1)


def mean_word(text: str) -> float:
    return sum(map(len, text.split())) / max(len(text.split()), 1)


def repeated_lines(text: str) -> float:
    lines = [line for line in (line.strip() for line in text.split("\n")) if line]
    return 1 - len(set(lines)) / max(len(lines), 1)


def top_phrase(text: str) -> float:
    words = words_of(text)
    runs = Counter(tuple(words[start : start + 5]) for start in range(len(words) - 4))
    top = max(runs.values(), default=0)
    return min(1.0, top * 5 / len(words)) if top >= 3 and len(words) > 5 else 0.0


def find_duplicates(pieces: list[str]) -> tuple[int, int]:
    """Pieces that stood before, and their characters."""
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count, characters = count + 1, characters + len(piece)
        seen.add(piece)
    return count, characters


def top_run(words: list[str], size: int) -> int:
    """Characters of all occurrences of the commonest run of words joined by spaces."""
    runs = Counter(" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
    return max((len(run) * times for run, times in runs.most_common(1)), default=0)


def repeated_run(words: list[str], size: int) -> int:
    """Characters of runs that stood before, each counted once however runs overlap."""
    seen: set[str] = set()
    characters = place = 0
    while place < len(words) - size + 1:
        run = "".join(words[place : place + size])
        if run in seen:
            characters += len(run)
            place += size
        else:
            seen.add(run)
            place += 1
    return characters


def repetition(text: str) -> list[int]:
    """Paragraphs, repeated ones and their characters; lines, repeated ones and their characters."""
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split("\n+", text)
    return [len(paragraphs), *find_duplicates(paragraphs), len(lines), *find_duplicates(lines)]


def symbols(text: str) -> list[int]:
    """Number signs, ellipses, lines, lines that begin with a bullet, lines that end in an ellipsis."""
    lines = text.splitlines()
    return [
        text.count("#"),
        text.count("...") + text.count("…"),
        len(lines),
        sum(line.lstrip().startswith(("•", "-")) for line in lines),
        sum(line.rstrip().endswith(("...", "…")) for line in lines),
    ]


def fineweb(text: str, stops: str, short: int) -> list[int]:
    """Lines that are not blank, those that end a sentence, short ones, characters of repeated ones, line feeds."""
    lines = [line for line in text.split("\n") if line.strip()]
    ended = sum(line.endswith(tuple(stops)) for line in lines)
    return [len(lines), ended, sum(len(line) <= short for line in lines), find_duplicates(lines)[1], text.count("\n")]


def c4_lines(text: str) -> str | None:
    """The text that the line rules leave, None where lorem ipsum or a curly bracket drops it."""
    policies = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    kept = []
    for line in text.splitlines():
        words = line.split()
        changed = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line.strip())
        lower = changed.lower()
        if any(len(word) > 1000 for word in words) or not changed.endswith((".", "?", "!", '"', "'")):
            continue
        if changed.endswith("...") or len(words) < 3:
            continue
        if "lorem ipsum" in lower:
            return None
        if "javascript" in lower:
            continue
        if "{" in changed:
            return None
        if not any(policy in lower for policy in policies):
            kept.append(changed)
    return "\n".join(kept).strip()
