"""What each character is to a comparison: part of a word, a word by itself, or nothing."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

PLANES = 0x20000  # characters from here on are Han (a word each) up to HAN_END, and nothing above
HAN_END = 0x40000
BLOCK = 256  # characters whose entries are made at a time
ALONE = np.uint32(1 << 31)  # a word by itself
MARK = np.uint32(1 << 30)  # continues a word and begins none
# Scripts written without spaces: Thai and Lao, Myanmar, Khmer, kana, Han.
UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))


_table = np.zeros(PLANES, dtype=np.uint32)
_known = np.zeros(PLANES // BLOCK, dtype=bool)


def character_table(codes: NDArray[np.uint32] | None = None) -> NDArray[np.uint32]:
    """For each character below `PLANES`: its folded character with flags `ALONE` and `MARK`; 0 between words.

    Folding: case, and compatibility forms of one character (full width, half width, superscripts). With ``codes``,
    the blocks that they are of are sure to be right, and the others may be 0: all of them take as long as the
    import of a small library.
    """
    wanted = ~_known
    if codes is not None:
        wanted = np.bincount(codes >> 8, minlength=len(_known)).astype(bool)[: len(_known)] & ~_known
    for block in np.flatnonzero(wanted).tolist():
        _table[block * BLOCK : (block + 1) * BLOCK] = _block(block * BLOCK)
        _known[block] = True
    table = _table.view()
    table.flags.writeable = False
    return table


def _block(start: int) -> NDArray[np.uint32]:
    """Table entries of consecutive characters; most blocks have nothing to fold, and then no loop is needed."""
    characters = "".join(map(chr, range(start, start + BLOCK)))
    kinds = set(map(unicodedata.category, characters))
    if kinds <= {"Co", "Cs", "Cn"}:
        return np.zeros(BLOCK, dtype=np.uint32)
    codes = np.arange(start, start + BLOCK, dtype=np.uint32)
    plain = kinds == {"Lo"} and unicodedata.is_normalized("NFKC", characters)
    entries = codes.copy() if plain else np.array([_entry(character) for character in characters], dtype=np.uint32)
    for low, high in UNSPACED:
        entries[(codes >= low) & (codes <= high) & (entries != 0)] |= ALONE
    # Half-width kana folds into kana
    folded = entries & np.uint32(0x1FFFFF)
    entries[(folded >= 0x3040) & (folded <= 0x30FF)] |= ALONE
    entries[entries >= ALONE] &= ~MARK
    return entries


def _entry(character: str) -> int:
    kind = unicodedata.category(character)[0]
    if kind == "M":
        return ord(character) | int(MARK)
    if kind not in "LN":
        return 0
    if character.isascii():
        return ord(character.lower())
    folded = _single(unicodedata.normalize("NFKC", character), character)
    return ord(_single(folded.casefold(), _single(folded.lower(), folded)))


def _single(text: str, otherwise: str) -> str:
    return text if len(text) == 1 else otherwise
