"""Confidence intervals of pair accuracies, over prompts and not over pairs: those of one prompt hang together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Draws:
    """How often each of P prompts comes in each of so many bootstrap samples (Efron 1979), int [DRAWS, P]."""

    count_SP: NDArray[np.int32]

    @classmethod
    def make(cls, prompts: int, seed: int) -> "Draws":
        rng = np.random.default_rng([seed, prompts])
        drawn = (rng.integers(0, prompts, prompts) for _ in range(DRAWS))
        return cls(np.stack([np.bincount(one, minlength=prompts) for one in drawn]).astype(np.int32))

    def accuracy(self, right_N: Floats, prompt_N: NDArray[np.int64]) -> dict[str, Any]:
        """Mean of right_N with its 95 % interval over prompts; no interval with fewer than two prompts."""
        here, number = np.unique(prompt_N, return_inverse=True)
        found: dict[str, Any] = {"value": float(right_N.mean()), "pairs": len(right_N), "prompts": len(here)}
        if len(here) < 2:
            return {**found, "low": None, "high": None}
        count_SP = self.count_SP[:, here].astype(np.float64)
        pairs_S = count_SP @ np.bincount(number)
        means_S = (count_SP @ np.bincount(number, weights=right_N))[pairs_S > 0] / pairs_S[pairs_S > 0]
        low, high = np.quantile(means_S, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return {**found, "low": float(low), "high": float(high)}
