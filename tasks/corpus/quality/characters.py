"""What each character is to the filters: one flag a property, and its case-folded form."""

import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.words import HAS_UNSPACED

SIZE, BLOCK = 0x110000, 256
RULES = Path(__file__).with_name("english_rules.json")

SPACE, LETTER, DIGIT = 1 << 0, 1 << 1, 1 << 2  # str.isspace, str.isalpha, 0-9
WORDLIKE = 1 << 3  # letters, marks and white space: what the filter few_letters counts
PUNCTUATION = 1 << 4  # Unicode's categories P
WORD, ALONE = 1 << 5, 1 << 6  # part of a folded word; a word by itself
LINE_BREAK = 1 << 7  # where str.splitlines splits
MANY = 1 << 8  # case-folds to several characters
ALPHA, LOWER, UPPER, QUOTE = 1 << 9, 1 << 10, 1 << 11, 1 << 12  # spaCy's classes
PREFIX, SUFFIX, INFIX = 1 << 13, 1 << 14, 1 << 15
BEFORE_DOT, CURRENCY, SENTENCE_END = 1 << 16, 1 << 17, 1 << 18
SYMBOL, TERMINAL = 1 << 19, 1 << 20  # datatrove's sets
HOST = 1 << 21  # first and last characters of a host's labels
DECIMAL = 1 << 22  # what \d matches
OF_WORD = 1 << 31  # in `Characters.many`: continues a word

NAMES = {"alpha": ALPHA, "lower": LOWER, "upper": UPPER, "quote": QUOTE, "prefix": PREFIX, "suffix": SUFFIX,
         "infix": INFIX, "before_dot": BEFORE_DOT, "currency": CURRENCY, "sentence_end": SENTENCE_END,
         "symbol": SYMBOL}  # fmt: skip

Table = NDArray[np.uint32]


@cache
def english_rules() -> dict[str, Any]:
    """english_rules.json: character classes, special cases and units, as spaCy and datatrove have them."""
    rules: dict[str, Any] = json.loads(RULES.read_text(encoding="utf-8"))
    return rules


class Characters:
    """flags and folded: an entry for each character; 256 at a time are filled when a text first has one of them."""

    def __init__(self) -> None:
        self.flags: Table = np.zeros(SIZE, dtype=np.uint32)
        self.folded: Table = np.zeros(SIZE, dtype=np.uint32)
        self.known = np.zeros(SIZE // BLOCK, dtype=bool)
        rules = english_rules()
        for name, flag in NAMES.items():
            for low, high in rules["classes"][name]:
                self.flags[low : high + 1] |= np.uint32(flag)
        for character in rules["terminal"]:
            self.flags[ord(character)] |= np.uint32(TERMINAL)
        for low, high in ((48, 57), (65, 90), (97, 122), (0xA1, 0xFFFF)):
            self.flags[low : high + 1] |= np.uint32(HOST)
        # Case-foldings to several characters, such as ß to ss: how many, then each with `OF_WORD`
        self.many: Table = np.zeros((1024, 4), dtype=np.uint32)
        self.many_count = 0

    def learn(self, seen: NDArray[np.bool_]) -> None:
        """Fill the blocks of 256 characters that are marked."""
        for block in np.flatnonzero(seen & ~self.known).tolist():
            for code in range(block * BLOCK, (block + 1) * BLOCK):
                self._learn(code)
            self.known[block] = True

    def _learn(self, code: int) -> None:
        character = chr(code)
        kind = unicodedata.category(character)
        flag = 0
        if character.isspace():
            flag |= SPACE | WORDLIKE
        elif kind[0] in "LM" or (character.isalnum() and kind != "Nd"):
            flag |= WORDLIKE
        if character.isalpha():
            flag |= LETTER
        if kind[0] == "P":
            flag |= PUNCTUATION
        if kind == "Nd":
            flag |= DECIMAL | (DIGIT if code < 0x80 else 0)
        if len(f"a{character}a".splitlines()) == 2:
            flag |= LINE_BREAK
        folded = character.casefold()
        if len(folded) == 1:
            self.folded[code] = ord(folded)
            if HAS_UNSPACED.match(folded):
                flag |= ALONE
            elif folded.isalnum():
                flag |= WORD
        else:
            flag |= MANY
            self.folded[code] = self.many_count
            self.many[self.many_count, 0] = len(folded)
            for place, one in enumerate(folded, 1):
                self.many[self.many_count, place] = ord(one) | (OF_WORD if one.isalnum() else 0)
            self.many_count += 1
        self.flags[code] |= np.uint32(flag)


@cache
def characters() -> Characters:
    """The one table of this process."""
    return Characters()
