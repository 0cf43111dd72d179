"""Whether a reward model's score gaps mean what they say: sigmoid(gap) as a probability, against what came true.

Shapes: N held-out pairs. gap_N is better minus worse in units of log-odds, as the loss has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 15
STEPS = 80  # of the search for the temperature: each narrows it by .618


def confidence(gap_N: Floats, temperature: float = 1.0) -> Floats:
    """Probability, .5 to 1, that the model gives to the order it believes in."""
    return 1.0 / (1.0 + np.exp(-np.abs(gap_N) / temperature))


def rightness(gap_N: Floats) -> Floats:
    """1 where the better answer has the higher score, one half where both are equal, else 0."""
    return np.where(gap_N > 0, 1.0, np.where(gap_N == 0, 0.5, 0.0))


def reliability(gap_N: Floats, temperature: float = 1.0, bins: int = BINS) -> list[dict[str, Any]]:
    """Bins of equal mass by confidence, as near as the number of pairs allows: mean confidence, accuracy, pairs."""
    order = np.argsort(np.abs(gap_N), kind="stable")
    found = []
    for chosen in np.array_split(order, min(bins, len(order))):
        said, true = confidence(gap_N[chosen], temperature), rightness(gap_N[chosen])
        found.append({"confidence": float(said.mean()), "accuracy": float(true.mean()), "pairs": len(chosen)})
    return found


def expected_error(curve: list[dict[str, Any]]) -> float:
    """ECE (Naeini et al. 2015): mean distance of confidence from accuracy over the bins, weighted by their pairs."""
    total = sum(one["pairs"] for one in curve)
    return float(sum(one["pairs"] * abs(one["accuracy"] - one["confidence"]) for one in curve) / total)


def fit_temperature(gap_N: Floats) -> float:
    """T that makes the mean of -log sigmoid(gap / T) smallest (Guo et al. 2017), by golden section in log T.

    Between e^-5 and e^5: pairs that are all ordered rightly have no smallest value.
    """
    low, high, share = -5.0, 5.0, (5**0.5 - 1) / 2

    def nats(log_t: float) -> float:
        return float(np.logaddexp(0.0, -gap_N / np.exp(log_t)).mean())

    left, right = high - share * (high - low), low + share * (high - low)
    at_left, at_right = nats(left), nats(right)
    for _ in range(STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - share * (high - low)
            at_left = nats(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + share * (high - low)
            at_right = nats(right)
    return float(np.exp((low + high) / 2))


def calibration(gap_N: Floats, fitted_N: NDArray[np.bool_]) -> dict[str, Any]:
    """Curve and ECE of all pairs, and of those not ``fitted_N`` before and after a temperature fit on those that are.

    Without pairs on both sides there is no temperature.
    """
    curve = reliability(gap_N)
    found: dict[str, Any] = {"curve": curve, "ece": expected_error(curve)}
    if fitted_N.any() and not fitted_N.all():
        temperature, rest_N = fit_temperature(gap_N[fitted_N]), gap_N[~fitted_N]
        after = reliability(rest_N, temperature)
        found |= {
            "temperature": temperature,
            "ece_other_half": expected_error(reliability(rest_N)),
            "ece_after_temperature": expected_error(after),
            "curve_after_temperature": after,
        }
    return found
