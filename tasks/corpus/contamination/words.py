"""The engine's words as Python strings: for checking that words are equal and not their hashes alone."""

import numpy as np

from tasks.corpus.neardup.characters import ALONE, HAN_END, MARK, PLANES, character_table

MASK = 0x1FFFFF


class _Folds(dict[int, str]):
    """What stands for each character met: `str.translate` looks up known ones without leaving C."""

    def __missing__(self, code: int) -> str:
        self[code] = made = _fold(code)
        return made


_folds = _Folds()
_marks: set[str] = set()  # those met


def folded_words(text: str) -> list[str]:
    """Words of a text, folded: as many and in the same order as the engine has hashes.

    Case, punctuation, white space and compatibility forms (full width) make no difference. In scripts without
    spaces each character is a word.
    """
    words = text.translate(_folds).split(" ")
    if text.isascii():
        return [word for word in words if word]
    # A mark continues a word and begins none
    return [kept for word in words if (kept := _without_leading_marks(word))]


def _without_leading_marks(word: str) -> str:
    start = 0
    while start < len(word) and word[start] in _marks:
        start += 1
    return word[start:]


def _fold(code: int) -> str:
    if code >= PLANES:
        return f" {chr(code)} " if code < HAN_END else " "
    entry = int(character_table(np.array([code], dtype=np.uint32))[code])
    if entry == 0:
        return " "
    folded = chr(entry & MASK)
    if int(MARK) <= entry < int(ALONE):
        _marks.add(folded)
    return f" {folded} " if entry >= int(ALONE) else folded
