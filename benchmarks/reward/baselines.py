"""Rules that a reward model has to beat: length, and a bag of n-grams; accuracies with confidence intervals.

The bag of n-grams is a logistic regression on differences: P(i beats j) = sigmoid(w·(x_i - x_j)), x the logarithms of
one plus the counts of an answer's n-grams (Bradley and Terry 1952 with linear strengths). It does not see the prompt.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tasks.rankings import RankedPrompt, pair_accuracy, pairs

Items = list[RankedPrompt]
Scorer = Callable[[RankedPrompt], list[float]]
FOLDS, DRAWS = 5, 2000
PENALTIES = (0.003, 0.03, 0.3)
RARE = 3  # an n-gram of fewer answers is left out
MOST = 10_000  # n-grams, those of the most answers
_WORD = re.compile(r"[a-z0-9']+|[^\sa-z0-9']")
_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Accuracy:
    """Share of right pairs, and a 95 % interval over prompts."""

    value: float
    low: float
    high: float
    pairs: int
    prompts: int


def accuracy(items: Items, rows: list[list[float]]) -> Accuracy:
    """Pair accuracy of the scores of the items' candidates."""
    return _with_interval(_by_prompt(items, rows))


def advantage(items: Items, rows: list[list[float]], others: list[list[float]]) -> Accuracy:
    """How much more accurate the first scores are than the second, prompt by prompt."""
    both = zip(_by_prompt(items, rows), _by_prompt(items, others), strict=True)
    return _with_interval([(one - two, count) for (one, count), (two, _) in both])


def _with_interval(values: list[tuple[float, int]]) -> Accuracy:
    """The mean over pairs of (value, pairs) of each prompt, and percentiles of a bootstrap over prompts."""
    rng = random.Random(0)

    def mean(drawn: list[tuple[float, int]]) -> float:
        return sum(value * count for value, count in drawn) / sum(count for _, count in drawn)

    draws = sorted(mean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    low, high = draws[round(0.025 * (DRAWS - 1))], draws[round(0.975 * (DRAWS - 1))]
    return Accuracy(mean(values), low, high, sum(count for _, count in values), len(values))


def _by_prompt(items: Items, rows: list[list[float]]) -> list[tuple[float, int]]:
    """Accuracy and number of pairs of each distinct prompt that has one."""
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(item.prompt_key, []).append(number)
    found = [pair_accuracy([items[n] for n in group], [rows[n] for n in group]) for group in groups.values()]
    return [(value, count) for value, count in found if count]


def by_chance(seed: int) -> Scorer:
    """Scores that know nothing."""
    rng = random.Random(seed)
    return lambda item: [rng.random() for _ in item.candidates]


def by_length(train: Items) -> Scorer:
    """Longer is better, or shorter is, in characters: whichever is right more often on the training prompts."""
    share, _ = pair_accuracy(train, [[float(len(text)) for text in item.candidates] for item in train])
    sign = -1.0 if share < 0.5 else 1.0
    return lambda item: [sign * len(text) for text in item.candidates]


def ngrams(text: str) -> list[str]:
    """Words and pairs of words; of Chinese text, characters and runs of two and three."""
    if len(_CHINESE.findall(text)) * 5 > len(text):
        return [text[at : at + size] for size in (1, 2, 3) for at in range(len(text) - size + 1)]
    words = _WORD.findall(text.lower())
    return words + [" ".join(pair) for pair in pairwise(words)]


@cache
def counts(text: str) -> Counter[str]:
    """Occurrences of each n-gram. A text is asked for in every fold."""
    return Counter(ngrams(text))


def by_ngrams(train: Items, seed: int) -> Scorer:
    """The bag of n-grams. Its penalty is the best on a fifth of the training prompts; then all of them are used."""
    rest, look = next(folds(train, seed))
    inner = _Bag(rest)
    tried = {penalty: inner.fit(penalty) for penalty in PENALTIES}
    best = max(PENALTIES, key=lambda penalty: pair_accuracy(look, [tried[penalty](item) for item in look])[0])
    return _Bag(train).fit(best)


def folds(items: Items, seed: int, count: int = FOLDS) -> Iterator[tuple[Items, Items]]:
    """(the others, this fold) of each fold; all items of a prompt are in the same one."""
    keys = sorted({item.prompt_key for item in items})
    random.Random(seed).shuffle(keys)
    fold = {key: number % count for number, key in enumerate(keys)}
    for number in range(count):
        inside = [item for item in items if fold[item.prompt_key] == number]
        yield [item for item in items if fold[item.prompt_key] != number], inside


def crossed(items: Items, make: Callable[[Items], Scorer], seed: int) -> list[list[float]]:
    """Scores of every item by a rule that was made without its fold."""
    found: dict[int, list[float]] = {}
    for others, inside in folds(items, seed):
        scorer = make(others)
        found |= {id(item): scorer(item) for item in inside}
    return [found[id(item)] for item in items]


class _Bag:
    """Counts of the training answers, ready to be fitted with any penalty."""

    def __init__(self, train: Items) -> None:
        texts = [text for item in train for text in item.candidates]
        seen = Counter(gram for text in texts for gram in counts(text))
        kept = sorted((-answers, gram) for gram, answers in seen.items() if answers >= RARE)[:MOST]
        self.column = {gram: number for number, (_, gram) in enumerate(kept)}
        self.counts_CF = self._matrix(texts)
        better, worse, weight = _comparisons(train)
        self.better_P, self.worse_P, self.weight_P = torch.tensor(better), torch.tensor(worse), torch.tensor(weight)

    def fit(self, penalty: float) -> Scorer:
        """Minimise the mean pair loss of a prompt plus penalty/2 times the squared norm."""
        weight_F = torch.zeros(self.counts_CF.shape[1], requires_grad=True)
        optimizer = torch.optim.LBFGS([weight_F], max_iter=60, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            score_C = (self.counts_CF @ weight_F[:, None])[:, 0]
            nats_P = torch.nn.functional.softplus(score_C[self.worse_P] - score_C[self.better_P])
            value = (self.weight_P * nats_P).sum() / self.weight_P.sum() + penalty / 2 * weight_F.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        fitted = weight_F.detach()
        return lambda item: (self._matrix(item.candidates) @ fitted[:, None])[:, 0].tolist()

    def _matrix(self, texts: Sequence[str]) -> Tensor:
        """[answers, n-grams]; dense, which is the fastest for some thousand answers."""
        matrix = np.zeros((len(texts), max(len(self.column), 1)), dtype=np.float32)
        for number, text in enumerate(texts):
            known = {self.column[gram]: times for gram, times in counts(text).items() if gram in self.column}
            matrix[number, list(known)] = np.log1p(list(known.values()))
        return torch.from_numpy(matrix)


def _comparisons(items: Iterable[RankedPrompt]) -> tuple[list[int], list[int], list[float]]:
    """Answer numbers of the better and the worse of each pair, and its weight: those of an item sum to 1."""
    better: list[int] = []
    worse: list[int] = []
    weight: list[float] = []
    first = 0
    for item in items:
        found = [pair for ranking in item.ranks for pair in pairs(ranking)]
        better += [first + winner for winner, _ in found]
        worse += [first + loser for _, loser in found]
        weight += [1 / len(found)] * len(found)
        first += len(item.candidates)
    return better, worse, weight
