"""Self-consistency: does an annotator who ranks the same two candidates of a prompt twice order them alike?"""

from collections import defaultdict
from collections.abc import Iterable

from tasks.rank.trust.intervals import Share, grouped_share
from tasks.rankings import RankedPrompt


def self_consistency(items: Iterable[RankedPrompt]) -> dict[str, Share]:
    """Share of repeated pairs of candidates that were ordered alike, a tie against a decision half, by annotator.

    items: before repeated rankings are merged. A ranking that repeats another one in full, comment and time included,
    is a copy and not a second judgement. Annotators who repeat nothing are left out.
    """
    votes: defaultdict[str, defaultdict[str, list[dict[tuple[str, str], int]]]] = defaultdict(lambda: defaultdict(list))
    seen: set[tuple[str, str]] = set()
    for item in items:
        for ranking in item.rankings:
            copy = (
                item.id,
                repr(sorted(zip(item.candidates, ranking.ranks, strict=True)))
                + repr(ranking).partition("annotator=")[2],
            )
            if ranking.annotator and copy not in seen:
                seen.add(copy)
                votes[ranking.annotator][item.prompt_key].append(_signs(item.candidates, ranking.ranks))
    found: dict[str, Share] = {}
    for name, prompts in sorted(votes.items()):
        hits, totals = [], []
        for given in prompts.values():
            agreed = [
                1 - abs(one[pair] - two[pair]) / 2
                for n, one in enumerate(given)
                for two in given[n + 1 :]
                for pair in sorted(one.keys() & two.keys())
            ]
            hits.append(sum(agreed))
            totals.append(float(len(agreed)))
        if sum(totals):
            found[name] = grouped_share(hits, totals)
    return found


def _signs(candidates: list[str], ranks: list[int]) -> dict[tuple[str, str], int]:
    """1 where the first text of a pair is better, −1 where the second is, 0 for a tie."""
    ranked = sorted((text, rank) for text, rank in zip(candidates, ranks, strict=True) if rank)
    return {
        (one, two): (first < second) - (first > second)
        for n, (one, first) in enumerate(ranked)
        for two, second in ranked[n + 1 :]
    }
