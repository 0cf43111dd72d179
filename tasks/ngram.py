"""An n-gram model of token ids: what counting alone reaches, the yardstick beside a model's perplexity.

Interpolated Kneser-Ney smoothing (Kneser & Ney 1995; Chen & Goodman 1998, section 4.1.6) with one discount an order,
D = n1 / (n1 + 2 n2) (Ney, Essen & Kneser 1994):

    p_k(w | h) = (max(c_k(h w) - D_k, 0) + D_k types_k(h) p_(k-1)(w | h')) / sum_w c_k(h w)

h' is h without its first token. c is the number of occurrences at the highest order, and below it the number of
different tokens that stand before (h w). Under the lowest order lies 1 / vocabulary, so every token has a probability
and they sum to 1 after any history.
"""

from dataclasses import dataclass

import numpy as np

PIECE = 1 << 20  # predicted tokens scored at a time


@dataclass(frozen=True)
class Level:
    """One order: histories of k-1 tokens and the tokens that follow them, both as sorted keys.

    A history's key is (place of its last k-2 tokens one level below) * vocabulary + its first token, a gram's key
    (place of its history) * vocabulary + token: exact in int64 up to 2^63 / vocabulary places.
    """

    histories: np.ndarray  # int64, sorted
    grams: np.ndarray  # int64, sorted
    counts: np.ndarray  # of each gram
    totals: np.ndarray  # sum of the counts after each history
    types: np.ndarray  # different tokens after each history
    discount: float


class NgramModel:
    """Probabilities of a token after its document's tokens before it."""

    def __init__(self, history_NK: np.ndarray, token_N: np.ndarray, vocabulary: int) -> None:
        """Count: of each token what stands before it, as `windows` gives it; the order is K + 1."""
        self.vocabulary, self.levels = vocabulary, []
        place_N = np.zeros(len(token_N), dtype=np.int64)
        seen = []
        for column in range(history_NK.shape[1] + 1):
            histories = np.zeros(1, dtype=np.int64)
            if column:
                histories, place_N = np.unique(place_N * vocabulary + history_NK[:, column - 1], return_inverse=True)
            seen.append((histories, *np.unique(place_N * vocabulary + token_N, True, True, True)))
        for level, (histories, grams, _, gram_N, occurrences) in enumerate(seen):
            counts = occurrences
            if level + 1 < len(seen):  # each longer gram counts once, whatever its number
                once = seen[level + 1][2]
                counts = np.bincount(gram_N[once], minlength=len(grams))
            self.levels.append(_level(histories, grams, counts, vocabulary))

    def probabilities(self, history_NK: np.ndarray, token_N: np.ndarray) -> np.ndarray:
        """p of each token after its history, float64."""
        result = np.full(len(token_N), 1 / self.vocabulary)
        place_N = np.zeros(len(token_N), dtype=np.int64)
        for column, level in enumerate(self.levels):
            if column:
                keys = place_N * self.vocabulary + history_NK[:, column - 1]
                place_N = _find(level.histories, np.where(place_N < 0, -1, keys))
            known = np.flatnonzero(place_N >= 0)  # after an unknown history the shorter one decides
            at = place_N[known]
            gram = _find(level.grams, at * self.vocabulary + token_N[known])
            count = np.where(gram < 0, 0, level.counts[gram])
            own = np.maximum(count - level.discount, 0) + level.discount * level.types[at] * result[known]
            result[known] = own / level.totals[at]
        return result

    def perplexity(self, history_NK: np.ndarray, token_N: np.ndarray) -> float:
        """exp of the mean nats of the tokens."""
        nats = 0.0
        for begin in range(0, len(token_N), PIECE):
            part = slice(begin, begin + PIECE)
            nats -= float(np.log(self.probabilities(history_NK[part], token_N[part])).sum())
        return float(np.exp(nats / len(token_N)))


def windows(ids: np.ndarray, starts: np.ndarray, order: int, joined: bool) -> tuple[np.ndarray, np.ndarray]:
    """The predicted tokens ``token_N``, and ``history_NK``, the K = order-1 tokens before each, nearest first.

    ``ids``: documents one after the other, the first at 0; ``starts``: where they begin, with a token that is given.
    It stands in for what would lie before it. ``joined``: this token also ends the document before, where it is
    predicted.
    """
    predicted = np.ones(len(ids), dtype=bool)
    predicted[starts[:1] if joined else starts] = False
    at_N = np.flatnonzero(predicted)
    begin_N = starts[np.searchsorted(starts, at_N) - 1]  # a joined token belongs to the document that it ends
    columns = [ids[np.maximum(at_N - back, begin_N)] for back in range(1, order)]
    history_NK = np.stack(columns, axis=1) if columns else np.empty((len(at_N), 0), dtype=ids.dtype)
    return history_NK.astype(np.int64), ids[at_N].astype(np.int64)


def _level(histories: np.ndarray, grams: np.ndarray, counts: np.ndarray, vocabulary: int) -> Level:
    place = grams // vocabulary
    totals = np.bincount(place, weights=counts, minlength=len(histories))
    types = np.bincount(place, minlength=len(histories))
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # without tokens seen once and twice the estimate would be 0 or 1
    discount = once / (once + 2 * twice) if once and twice else 0.5
    return Level(histories, grams, counts, totals, types, discount)


def _find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Places in the sorted keys, -1 where a key is not there."""
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[found] == wanted, found, -1)
