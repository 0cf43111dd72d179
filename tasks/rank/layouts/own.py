"""The project's own rows: prompt, candidates, ranks, and all that is known of each ranking."""

from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.conversation import plain, prompt_of
from tasks.rank.layouts.item import Layout, Lost, Row, has
from tasks.rank.layouts.numbers import finite
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt

# Beside `ranks`: one value, or with several rankings a list of one value a ranking
ABOUT = ("annotator", "origin", "ratings", "shown", "all_bad", "axes", "comment", "seconds")


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """{"prompt": text or messages, "candidates": [text], "ranks": [rank] or one such list an annotator, …}.

    The smallest rank is best; null is a candidate that was not ranked. An empty candidate is allowed: a model may
    have said nothing. Raises ValueError.
    """
    candidates, ranks = row.get("candidates"), row.get("ranks")
    if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
        raise ValueError("`candidates` is not a list of texts")
    if not isinstance(ranks, list) or not ranks:
        raise ValueError("`ranks` is not a list of ranks, nor of one such list an annotator")
    several = isinstance(ranks[0], list)
    about = _about(row, len(ranks)) if several else [{key: row[key] for key in ABOUT if has(row, key)}]
    rankings = [
        _ranking(one, len(candidates), {"origin": origin} | known)
        for one, known in zip(ranks if several else [ranks], about, strict=True)
    ]
    yield ranked_prompt(prompt_of(row, "prompt"), candidates, rankings, _models(row.get("models"), len(candidates)))


def _about(row: Row, count: int) -> list[Row]:
    """What is known of each of several rankings. A single annotator's or origin's name is that of all of them."""
    about: list[Row] = [{} for _ in range(count)]
    for key in (key for key in ABOUT if has(row, key)):
        values = [row[key]] * count if isinstance(row[key], str) and key in ("annotator", "origin") else row[key]
        if not isinstance(values, list) or len(values) != count:
            raise ValueError(f"`{key}` is not a list of one value a ranking: {count} rankings, {row[key]!r:.80}")
        for known, value in zip(about, values, strict=True):
            known |= {} if value is None else {key: value}
    return about


def _ranking(ranks: Any, count: int, about: Row) -> Ranking:
    if not isinstance(ranks, list) or len(ranks) != count:
        raise ValueError(f"not one rank a candidate: {count} candidates, but ranks {ranks!r:.80}")
    if not all(rank is None or (isinstance(rank, int) and not isinstance(rank, bool)) for rank in ranks):
        raise ValueError(f"ranks are not whole numbers: {ranks!r:.80}")
    for key in ("annotator", "origin", "comment"):
        if not isinstance(about.get(key, ""), str):
            raise ValueError(f"`{key}` is not a text: {about[key]!r:.40}")
    all_bad = about.get("all_bad", False)
    if not isinstance(all_bad, bool):
        raise ValueError(f"`all_bad` is neither true nor false: {all_bad!r:.40}")
    ranked = sum(rank is not None for rank in ranks)
    if ranked < 2 and not all_bad:
        raise ValueError(f"fewer than 2 candidates are ranked: {ranked} of {count}")
    return Ranking.of(
        ranks,
        annotator=about.get("annotator", ""),
        origin=about["origin"],
        ratings=[finite(rating, "ratings") for rating in _parallel(about.get("ratings", []), count, "ratings")],
        shown=_shown(about.get("shown", []), count),
        all_bad=all_bad,
        axes=_axes(about.get("axes", {}), count),
        comment=about.get("comment", ""),
        seconds=_seconds(about.get("seconds")),
    )


def _parallel(values: Any, count: int, key: str) -> list[Any]:
    if not isinstance(values, list) or len(values) not in (0, count):
        raise ValueError(f"`{key}` is not a list of one value a candidate: {count} candidates, {values!r:.80}")
    return values


def _shown(values: Any, count: int) -> list[int]:
    shown = _parallel(values, count, "shown")
    if any(type(place) is not int or place < 0 for place in shown) or len(set(shown)) < len(shown):
        raise ValueError(f"`shown` is not a place of its own, from 0, for each candidate: {shown!r:.80}")
    return shown


def _axes(axes: Any, count: int) -> dict[str, list[int | None]]:
    # A table gives a map as a list of pairs
    axes = dict(axes) if isinstance(axes, list) and all(isinstance(pair, tuple) for pair in axes) else axes
    if not isinstance(axes, dict):
        raise ValueError(f"`axes` is not a list of marks by the name of the axis: {axes!r:.80}")
    for name, marks in axes.items():
        if any(mark is not None and type(mark) is not int for mark in _parallel(marks, count, f"axes.{name}")):
            raise ValueError(f"marks are not whole numbers: {name} {marks!r:.80}")
    return {name: marks for name, marks in axes.items() if marks}


def _seconds(value: Any) -> float | None:
    seconds = None if value is None else finite(value, "seconds")
    if seconds is not None and seconds < 0:
        raise ValueError(f"`seconds` is negative: {seconds:g}")
    return seconds


def _models(models: Any, count: int) -> list[str]:
    models = _parallel(models or [], count, "models")
    if not all(isinstance(model, str) for model in models):
        raise ValueError(f"`models` is not a list of names: {models!r:.80}")
    return models


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """One row that holds everything. Values that are not known are left out."""
    row: Row = {"prompt": plain(item.prompt), "candidates": item.candidates}
    rankings = [ranking for ranking in item.rankings if ranking.all_bad or sum(map(bool, ranking.ranks)) > 1]
    lost["rankings of fewer than 2 candidates"] += len(item.rankings) - len(rankings)
    if not rankings:
        return
    ranks = [[rank or None for rank in ranking.ranks] for ranking in rankings]
    single = len(ranks) == 1
    row["ranks"] = ranks[0] if single else ranks
    for key in ABOUT:
        values = [getattr(ranking, key) for ranking in rankings]
        if any(value is not None and value is not False and value not in ("", [], {}) for value in values):
            row[key] = values[0] if single else values
    yield row | ({"models": item.models} if item.models else {})


LAYOUT = Layout(lambda row: has(row, "prompt", "candidates", "ranks"), read, write)
