"""The project's own rows, in files of a source: prompt, candidates, ranks, and all that is known of each ranking."""

from collections.abc import Iterator
from dataclasses import replace

from tasks.rank.layouts.conversation import plain
from tasks.rank.layouts.item import Layout, Lost, Row, has
from tasks.rank.own import CHECKS, read_own
from tasks.rankings import RankedPrompt, Ranking

UNKNOWN = Ranking([])


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """A row of our own format (see ``read_own``), each ranking with its `origin` where the row names one.

    Raises ValueError; also when a ranking that is not "all bad" orders fewer than two candidates.
    """
    item = read_own(row, origin)
    for ranking in item.rankings:
        if sum(map(bool, ranking.ranks)) < 2 and not ranking.all_bad:
            raise ValueError(f"fewer than 2 candidates are ranked: {ranking.ranks!r:.80}")
    origins = row.get("origin") or origin
    named = [origins] * len(item.rankings) if isinstance(origins, str) else origins
    sound = isinstance(named, list) and all(name is None or isinstance(name, str) for name in named)
    if not sound or len(named) != len(item.rankings):
        raise ValueError(f"`origin` is neither a name nor one a ranking: {origins!r:.80}")
    rankings = [replace(each, origin=name or origin) for each, name in zip(item.rankings, named, strict=True)]
    yield replace(item, rankings=rankings)


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """One row that holds everything, save for rankings of fewer than two candidates. What is not known is left out."""
    rankings = [_placed(each, lost) for each in item.rankings if each.all_bad or sum(map(bool, each.ranks)) > 1]
    lost["rankings of fewer than 2 candidates"] += len(item.rankings) - len(rankings)
    if not rankings:
        return
    row: Row = {"prompt": plain(item.prompt), "candidates": item.candidates}
    several = len(rankings) > 1
    ranks = [[rank or None for rank in ranking.ranks] for ranking in rankings]
    row["ranks"] = ranks if several else ranks[0]
    for key in (*CHECKS, "origin"):
        values = [getattr(ranking, key) for ranking in rankings]
        if any(value != getattr(UNKNOWN, key) for value in values):
            row[key] = values if several else values[0]
    yield row | ({"models": item.models} if item.models else {})


def _placed(ranking: Ranking, lost: Lost) -> Ranking:
    """Without places that are not all of them, as they are where identical answers were merged."""
    gaps = sorted(ranking.shown) != list(range(len(ranking.shown)))
    lost["rankings with the places"] += gaps
    return replace(ranking, shown=[]) if gaps else ranking


LAYOUT = Layout(lambda row: has(row, "prompt", "candidates", "ranks"), read, write)
