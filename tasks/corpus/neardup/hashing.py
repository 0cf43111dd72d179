"""Constants of the hashes, which the compiled and the portable path share.

A word is the polynomial of its folded characters in `CHARACTER`, a shingle that of its words in `WORD`, both modulo
2^64 and finished by SplitMix64's finaliser (Steele et al. 2014). Stored signatures depend on all of these.
"""

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # of everything that decides a stored signature: characters, hashes, packing
CHARACTER = 0x9E3779B97F4A7C15
WORD = 0xD1B54A32D192ED03
FINISH_1 = 0xBF58476D1CE4E5B9
FINISH_2 = 0x94D049BB133111EB


def finish(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: spreads the polynomial's low bits over all 64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(FINISH_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(FINISH_2)
    return values ^ (values >> np.uint64(31))
