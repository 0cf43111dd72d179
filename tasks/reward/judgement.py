"""How good a reward model is on held-out rankings: what judgement.json says."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.rankings import RankedPrompt, longer_wins, pairs
from tasks.reward.calibration import calibration, confidence, rightness
from tasks.reward.correlation import spearman
from tasks.reward.intervals import Draws

HISTOGRAM_BINS = 24
MOST_ANNOTATORS = 50  # in the table by annotator: those with most pairs
EXAMPLES = 8
SHOWN = 400  # characters of a text in the examples
RANDOM_SCORERS = 200
Floats = NDArray[np.float64]
Scores = list[list[list[float]]]
"""Of each prompt, of each of its candidates, of each member."""


@dataclass(frozen=True)
class Pair:
    """One held-out pair of one annotator.

    item: its place in the list, prompt: number of the distinct prompt, gaps: better minus worse, one a member.
    """

    item: int
    prompt: int
    better: int
    worse: int
    gaps: tuple[float, ...]
    distance: int
    origin: str
    annotator: str


def held_pairs(items: Sequence[RankedPrompt], scores: Scores) -> list[Pair]:
    """Every pair of every ranking, in order. A prompt that comes with several sets of candidates has one number."""
    numbers: dict[str, int] = {}
    found = []
    for at, item in enumerate(items):
        prompt = numbers.setdefault(item.prompt_key, len(numbers))
        for ranking in item.rankings:
            for better, worse in pairs(ranking.ranks):
                gaps = tuple(high - low for high, low in zip(scores[at][better], scores[at][worse], strict=True))
                distance = ranking.ranks[worse] - ranking.ranks[better]
                found.append(Pair(at, prompt, better, worse, gaps, distance, ranking.origin, ranking.annotator))
    return found


def judge(items: Sequence[RankedPrompt], scores: Scores, deviations: Sequence[float], seed: int) -> dict[str, Any]:
    """Everything that is known of the model's order of held-out pairs; each annotator's pairs count.

    deviations: what each member's scores were divided by; times these, gaps are the log-odds that the loss has, and
    are read as probabilities. An interval is of 95 %, over prompts. Raises ValueError without a pair.
    """
    found = held_pairs(items, scores)
    if not found:
        raise ValueError("no held-out pair to judge by")
    gap_N = np.array([np.mean(pair.gaps) for pair in found])
    odds_N = np.array([np.mean(np.multiply(pair.gaps, deviations)) for pair in found])
    right_N, prompt_N = rightness(gap_N), np.array([pair.prompt for pair in found])
    draws = Draws.make(int(prompt_N.max()) + 1, seed)
    mean = [[float(np.mean(one)) for one in row] for row in scores]
    rule, length_N = _by_length(items, found)

    def by(name: Callable[[Pair], int | str], most: int | None = None) -> dict[str, Any]:
        groups = Counter(name(pair) for pair in found).most_common(most)
        chosen = {key: [number for number, pair in enumerate(found) if name(pair) == key] for key, _ in groups}
        return {str(key): draws.accuracy(right_N[chosen[key]], prompt_N[chosen[key]]) for key in sorted(chosen)}

    judgement = {
        "accuracy": draws.accuracy(right_N, prompt_N),
        "length_baseline": {**draws.accuracy(length_N, prompt_N), "rule": rule},
        "over_length": draws.accuracy(right_N - length_N, prompt_N),
        "random_baseline": _random(items, found, seed),
        "by_rank_distance": by(lambda pair: pair.distance),
        "by_candidates": by(lambda pair: len(items[pair.item].candidates)),
        "by_origin": by(lambda pair: pair.origin),
        "by_annotator": by(lambda pair: pair.annotator, MOST_ANNOTATORS),
        "calibration": calibration(odds_N, _half(prompt_N, seed)),
        "histogram": _histogram(found, mean),
        "length_correlation": _length_correlation(items, mean),
        "confidently_wrong": _wrong(items, found, odds_N),
    }
    return judgement | ({"ensemble": _ensemble(found, right_N)} if len(deviations) > 1 else {})


def _by_length(items: Sequence[RankedPrompt], found: Sequence[Pair]) -> tuple[str, Floats]:
    """The better of two rules that read nothing, and where it is right; equal lengths count half."""
    gap = [len(items[p.item].candidates[p.better]) - len(items[p.item].candidates[p.worse]) for p in found]
    longer = longer_wins(items) >= 0.5
    gap_N = np.array(gap, dtype=np.float64)
    return ("longer" if longer else "shorter"), rightness(gap_N if longer else -gap_N)


def _half(prompt_N: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Pairs of half of the prompts, drawn with the seed."""
    count = int(prompt_N.max()) + 1
    chosen = np.random.default_rng([seed, 2]).permutation(count)[: count // 2]
    return np.isin(prompt_N, chosen)


def _random(items: Sequence[RankedPrompt], found: Sequence[Pair], seed: int) -> dict[str, float]:
    """What scores at random would reach on these pairs: a half, and the range of 95 % of such scorers."""
    first = np.cumsum([0, *(len(item.candidates) for item in items)])
    better = np.array([first[pair.item] + pair.better for pair in found])
    worse = np.array([first[pair.item] + pair.worse for pair in found])
    rng = np.random.default_rng([seed, 1])
    reached = []
    for _ in range(RANDOM_SCORERS):
        score = rng.random(first[-1])
        reached.append(float((score[better] > score[worse]).mean()))
    low, high = np.quantile(reached, [0.025, 0.975])
    return {"value": 0.5, "low": float(low), "high": float(high)}


def _histogram(found: Sequence[Pair], mean: list[list[float]]) -> dict[str, list[float]]:
    """Edges of equal bins of the score, and how many pairs have their better and their worse answer in each."""
    better = [mean[pair.item][pair.better] for pair in found]
    worse = [mean[pair.item][pair.worse] for pair in found]
    edges = np.histogram_bin_edges([*better, *worse], HISTOGRAM_BINS)
    counts = {name: np.histogram(values, edges)[0].tolist() for name, values in (("better", better), ("worse", worse))}
    return {"edges": edges.tolist(), **counts}


def _length_correlation(items: Sequence[RankedPrompt], mean: list[list[float]]) -> dict[str, float | None]:
    """Spearman's correlation of score and characters: over all candidates, and the mean of it within a prompt."""
    lengths = [[float(len(text)) for text in item.candidates] for item in items]
    within = [rho for row, own in zip(mean, lengths, strict=True) if (rho := spearman(row, own)) is not None]
    flat = spearman([one for row in mean for one in row], [one for row in lengths for one in row])
    return {"all": flat, "within_prompt": float(np.mean(within)) if within else None}


def _ensemble(found: Sequence[Pair], right_N: Floats) -> dict[str, Any]:
    """Whether members that disagree are a sign of an error.

    disagreement: deviation of the members' gaps. error_correlation: Spearman's of it with being wrong. Pairs that all
    members order alike, and thirds of the pairs by disagreement, with their accuracy.
    """
    gap_NM = np.array([pair.gaps for pair in found])
    spread_N = gap_NM.std(1)
    alike_N = (gap_NM > 0).all(1) | (gap_NM < 0).all(1)
    thirds = np.array_split(np.argsort(spread_N, kind="stable"), min(3, len(found)))
    sides = {"unanimous": alike_N, "divided": ~alike_N}
    return {
        "members": [float(rightness(gap_NM[:, member]).mean()) for member in range(gap_NM.shape[1])],
        "disagreement": float(spread_N.mean()),
        "error_correlation": spearman(spread_N.tolist(), (1.0 - right_N).tolist()),
        "by_disagreement": [
            {"disagreement": float(spread_N[part].mean()), "accuracy": float(right_N[part].mean()), "pairs": len(part)}
            for part in thirds
        ],
        **{
            name: {"pairs": int(side_N.sum()), "accuracy": float(right_N[side_N].mean()) if side_N.any() else None}
            for name, side_N in sides.items()
        },
    }


def _wrong(items: Sequence[RankedPrompt], found: Sequence[Pair], odds_N: Floats) -> list[dict[str, Any]]:
    """The pairs that the model is surest of and has wrong, one a prompt, worst first."""
    shown: dict[int, dict[str, Any]] = {}
    for number in np.argsort(odds_N, kind="stable").tolist():
        pair = found[number]
        if odds_N[number] >= 0 or len(shown) == EXAMPLES:
            break
        item = items[pair.item]
        example = {
            "prompt": item.prompt[-1]["content"][:SHOWN],
            "better": item.candidates[pair.better][:SHOWN],
            "worse": item.candidates[pair.worse][:SHOWN],
            "confidence": float(confidence(odds_N[number])),
            "distance": pair.distance,
            "origin": pair.origin,
            "annotator": pair.annotator,
        }
        shown.setdefault(pair.prompt, example)
    return list(shown.values())


def headline(judgement: dict[str, Any]) -> dict[str, float | None]:
    """The stage's metrics among all that."""
    names = {"accuracy": "pair_accuracy", "length_baseline": "length_baseline", "over_length": "over_length"}
    found = {f"{name}_{end}": judgement[key][end] for key, name in names.items() for end in ("low", "high")}
    known = judgement["calibration"]
    found |= {name: known.get(name) for name in ("ece", "temperature", "ece_after_temperature")}
    found["length_correlation"] = judgement["length_correlation"]["all"]
    if "ensemble" in judgement:
        found["error_correlation"] = judgement["ensemble"]["error_correlation"]
    return found
