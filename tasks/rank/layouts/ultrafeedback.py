"""Scores of several completions, as UltraFeedback gives them (Cui et al. 2023), or its remake by distilabel.

The overall score makes the ranks and is kept as the rating; the marks for helpfulness, honesty and so on are axes.
"""

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from tasks.rank.layouts.conversation import alone, answers, prompt_of
from tasks.rank.layouts.item import Layout, Lost, Row, has
from tasks.rank.layouts.losses import count_about, ranked_alone, says_nothing
from tasks.rank.layouts.numbers import score
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt

PROMPTS = ("instruction", "prompt")


def fits(row: Row) -> bool:
    """Completions with scores, or generations with ratings beside them."""
    lists = isinstance(row.get("completions"), list) or has(row, "generations", "ratings")
    return lists and any(has(row, key) for key in PROMPTS)


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """{"instruction", "completions": [{"model", "response", "overall_score", "annotations"}]}, or "generations",
    "ratings" and "generation_models". A completion without a score has no rank. Raises ValueError.
    """
    completions = row.get("completions") if has(row, "completions") else _from_lists(row)
    if not isinstance(completions, list) or not all(isinstance(each, dict) for each in completions):
        raise ValueError("`completions` is not a list of completions")
    texts = answers([each.get("response") for each in completions], "completions")
    scores = [_overall(each) for each in completions]
    known = [value for value in scores if value is not None]
    if len(known) < 2:
        raise ValueError(f"fewer than 2 completions have a score: {len(known)} of {len(scores)}")
    ranking = Ranking.of(
        [None if value is None else -value for value in scores],
        origin=origin,
        ratings=known if len(known) == len(scores) else [],
        axes=_axes(completions),
    )
    models = [str(each.get("model") or "") for each in completions]
    yield ranked_prompt(prompt_of(row, *PROMPTS), texts, [ranking], models if any(models) else [])


def _from_lists(row: Row) -> list[Row]:
    texts, ratings = row.get("generations"), row.get("ratings")
    models = row.get("generation_models") or row.get("models") or []
    if not isinstance(texts, list) or not isinstance(ratings, list) or len(texts) != len(ratings):
        raise ValueError("`generations` and `ratings` are not lists of one length")
    models = models if isinstance(models, list) and len(models) == len(texts) else [""] * len(texts)
    named = zip(texts, ratings, models, strict=True)
    return [{"response": text, "overall_score": rating, "model": model} for text, rating, model in named]


def _overall(completion: Row) -> float | None:
    """The overall score; without one the fine-grained score, which is the mean of the marks; without it, that mean."""
    for key in ("overall_score", "fine-grained_score"):
        if (value := score(completion.get(key), key)) is not None:
            return value
    marks = [mark for mark in _marks(completion).values() if mark is not None]
    return fmean(marks) if marks else None


def _marks(completion: Row) -> dict[str, float | None]:
    given = completion.get("annotations") or {}
    if not isinstance(given, dict):
        raise ValueError(f"`annotations` is not a mark by the name of the axis: {given!r:.80}")
    return {axis: score(_rating(mark), f"annotations.{axis}") for axis, mark in given.items()}


def _rating(mark: Any) -> Any:
    return mark.get("Rating") if isinstance(mark, dict) else mark


def _axes(completions: list[Row]) -> dict[str, list[int | None]]:
    """Marks of one to five; one that is not whole is left out."""
    marks = [_marks(each) for each in completions]
    names = sorted({axis for each in marks for axis, mark in each.items() if mark is not None})
    return {axis: [_whole(each.get(axis)) for each in marks] for axis in names}


def _whole(mark: float | None) -> int | None:
    return int(mark) if mark is not None and mark == int(mark) else None


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """A row a ranking. Scores are the ratings; where these are missing, or order otherwise than the ranks, the score
    counts the ranks from the last one, and this is counted.
    """
    count_about(item, lost, "ratings", "axes", "models")
    if not alone(item.prompt):
        lost["prompts of several turns"] += 1
        return
    if says_nothing(item, lost):
        return
    models = item.models or [""] * len(item.candidates)
    for ranking in ranked_alone(item, lost):
        scores = _scores(ranking, lost)
        yield {
            "instruction": item.prompt[0]["content"],
            "models": models,
            "completions": [
                {
                    "model": models[at],
                    "response": text,
                    "overall_score": scores[at],
                    "annotations": {
                        axis: {"Rating": "N/A" if marks[at] is None else str(marks[at])}
                        for axis, marks in ranking.axes.items()
                        if marks
                    },
                }
                for at, text in enumerate(item.candidates)
            ],
        }


def _scores(ranking: Ranking, lost: Lost) -> list[float | None]:
    if ranking.ratings and Ranking.of(-rating for rating in ranking.ratings).ranks == ranking.ranks:
        return list(ranking.ratings)
    lost["rankings whose scores are made of their ranks"] += 1
    return [max(ranking.ranks) + 1.0 - rank if rank else None for rank in ranking.ranks]


LAYOUT = Layout(fits, read, write)
