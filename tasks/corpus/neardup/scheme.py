"""Bands and rows of the signature, derived from the similarity that is to be found."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.neardup.hashing import CHARACTER, finish

MOST_HASHES = 160  # of a derived scheme; each costs about 1/8 clock cycle a word
SEED = 20_260_101  # of the hash functions; not a setting: it names candidates, the exact check decides


class Matching(Protocol):
    """What the engine reads of `configs.schema.corpus.DedupConfig`."""

    @property
    def threshold(self) -> float: ...
    @property
    def recall(self) -> float: ...
    @property
    def shingle(self) -> int: ...
    @property
    def bands(self) -> int | None: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def verify(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Scheme:
    """shingle: words a shingle. bands, rows: of the signature; a pair that agrees in a whole band is a candidate."""

    shingle: int
    bands: int
    rows: int

    def multipliers(self) -> NDArray[np.uint32]:
        """Odd factor of each hash function, [bands*rows]: h(x) = factor*x mod 2^32."""
        # SplitMix64 from the seed: the same in every version of numpy, and numpy.random need not be imported
        state = np.uint64(SEED) + np.arange(1, self.bands * self.rows + 1, dtype=np.uint64) * np.uint64(CHARACTER)
        return (finish(state) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)

    def chance(self, similarity: float) -> float:
        """Probability that a pair of this Jaccard similarity becomes a candidate (MMDS 3.4.2)."""
        return 1 - (1 - similarity**self.rows) ** self.bands


def scheme_of(config: Matching) -> Scheme:
    """The configured bands and rows, or those that find a pair at the threshold with probability ``recall``.

    More rows make fewer false candidates and need more bands: the largest number of rows is taken that needs at
    most `MOST_HASHES` hashes.
    """
    if config.bands is not None and config.rows is not None:
        return Scheme(config.shingle, config.bands, config.rows)
    best = (1, 1)
    for rows in range(1, MOST_HASHES + 1):
        missed = 1 - config.threshold**rows
        bands = 1 if missed <= 0 else math.ceil(math.log(1 - config.recall) / math.log(missed)) if missed < 1 else 0
        if bands and bands * rows <= MOST_HASHES:
            best = (bands, rows)
    return Scheme(config.shingle, *best)
