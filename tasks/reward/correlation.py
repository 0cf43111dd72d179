"""Rank correlation, ties included."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, number, count = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[number], dtype=np.float64)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's correlation, -1 to 1: Pearson's of the ranks. None where one side does not vary."""
    a, b = (average_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else None
