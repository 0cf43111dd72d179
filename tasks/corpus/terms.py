"""Word lists: where their terms stand in a text, with word boundaries in scripts that have spaces."""

import re
import unicodedata
from pathlib import Path

import ahocorasick

from tasks.corpus.pii import Span
from tasks.corpus.words import UNSPACED
from tasks.failures import BadData

# A letter that joins the next one to a word. Han, kana and Thai need no boundary: their words touch anyway.
JOINING = re.compile(rf"[^\W{UNSPACED}]")
LONGEST = 200  # characters of a term


class TermList:
    """Terms of one list in one automaton (Aho and Corasick 1975): the time does not grow with their number."""

    def __init__(self, name: str, terms: list[str]) -> None:
        self.name = name
        self.size = len(terms)
        self._automaton = ahocorasick.Automaton()
        for term in terms:
            left, right = JOINING.match(term[0]) is not None, JOINING.match(term[-1]) is not None
            self._automaton.add_word(term, (len(term), left, right))
        self._automaton.make_automaton()

    def find(self, text: str) -> list[Span]:
        """Spans of terms, longest first where they overlap, in order; the kind is the name of the list."""
        folded = fold(text)
        found = []
        for last, (length, left, right) in self._automaton.iter(folded):
            start, end = last + 1 - length, last + 1
            if left and start > 0 and JOINING.match(folded, start - 1):
                continue
            if right and end < len(folded) and JOINING.match(folded, end):
                continue
            found.append((start, end, self.name))
        found.sort(key=lambda span: (span[0], -span[1]))
        kept: list[Span] = []
        for span in found:
            if not kept or span[0] >= kept[-1][1]:
                kept.append(span)
        return kept


def fold(text: str) -> str:
    """Lower case, character by character where a whole text would change its length (İ)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def read_terms(name: str, path: Path) -> TermList:
    """Read a word list. Raises BadData when it is not UTF-8 text, a term is too long, or there is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"word list {name!r}: {path.name} cannot be read as UTF-8 text: {error}") from error
    terms = set()
    for number, line in enumerate(lines, start=1):
        term = fold(unicodedata.normalize("NFC", " ".join(line.split())))
        if not term or term.startswith("#"):
            continue
        if len(term) > LONGEST:
            raise BadData(
                f"word list {name!r}: {path.name}:{number} has {len(term)} characters, the limit is {LONGEST}: "
                "one term a line; correct corpus.screen.word_lists.path"
            )
        terms.add(term)
    if not terms:
        raise BadData(f"word list {name!r}: {path.name} holds no term; correct corpus.screen.word_lists.path")
    return TermList(name, sorted(terms))
