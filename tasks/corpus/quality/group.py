"""Texts of one kind of script on their way through the filters: what is known of them, and which are dropped."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.quality.batch import Batch
from tasks.corpus.quality.english import Int64, Words, split_english
from tasks.corpus.quality.folded import split_folded

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass
class Group:
    """languages: of each text of the batch. alive: texts of this group that no filter has dropped yet.

    unspaced: whether the texts are of languages written without spaces, where two characters count as a word.
    chosen: position in ``reasons`` of the first that dropped a text, -1 for none.
    """

    batch: Batch
    languages: list[str]
    unspaced: bool
    alive: Mask
    reasons: list[str] = field(default_factory=list)
    chosen: NDArray[np.int32] = field(init=False)
    _words: Words | None = None

    def __post_init__(self) -> None:
        self.chosen = np.full(len(self.alive), -1, dtype=np.int32)

    def drop(self, reason: str, where: Mask) -> None:
        """Drop the texts that are marked and still alive."""
        dropped = where & self.alive
        self.chosen[dropped] = len(self.reasons)
        self.reasons.append(reason)
        self.alive &= ~dropped

    def words(self) -> Words:
        """Words of the texts that are alive when first asked for: spaCy's, or characters in scripts without spaces."""
        if self._words is None:
            batch = self.batch.only(self.alive)
            split = split_folded if self.unspaced else split_english
            self._words = split(batch.codes, batch.starts)
        return self._words

    def replace(self, batch: Batch, words: Words) -> None:
        """Take changed texts; words: of them."""
        self.batch, self._words = batch, words

    def word_counts(self) -> Floats:
        """Words of each text; in scripts without spaces half as many as characters."""
        return self.per_word(np.diff(self.words().bounds))

    def per_word(self, counts: Int64) -> Floats:
        """Counts of words or characters as words."""
        return counts / 2 if self.unspaced else counts.astype(np.float64)

    def scale(self, words: int) -> int:
        """A limit in words, in what this group counts."""
        return 2 * words if self.unspaced else words


def share(part: NDArray, whole: NDArray) -> Floats:
    """part / whole, 0 where the whole is empty."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0, dtype=np.float64)
