"""Habits of an annotator who does not look: ties all, keeps the order shown, hurries, damns all."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tasks.rank.trust.exact import fisher_above, upper_tail
from tasks.rankings import Ranking

FEWEST = 10  # votes before a habit is spoken of
ABOVE = 0.2  # share above the others' share from which a habit matters
FAST = 1 / 3  # of the others' median time


@dataclass
class Habits:
    """Counts of one annotator. shown: the chance of a random order to be the shown one, one a vote with places.

    in_order: votes that keep the shown order. seconds: of the votes that were timed.
    """

    votes: int = 0
    ties: int = 0
    all_bad: int = 0
    in_order: int = 0
    shown: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, ranking: Ranking) -> None:
        ranked = [number for number, rank in enumerate(ranking.ranks) if rank]
        self.votes += 1
        self.all_bad += ranking.all_bad
        # Who marks all as bad has said why they are tied
        self.ties += len(ranked) > 1 and not ranking.all_bad and len({ranking.ranks[number] for number in ranked}) == 1
        if ranking.shown and len(ranked) > 1:
            places = sorted(ranked, key=lambda number: ranking.shown[number])
            chance = 1.0
            for count in range(2, len(ranked) + 1):
                chance /= count
            self.shown.append(chance)
            ranks = [ranking.ranks[number] for number in places]
            self.in_order += all(first < second for first, second in pairwise(ranks))
        if ranking.seconds is not None:
            self.seconds.append(ranking.seconds)


def complaints(people: Mapping[str, Habits], alpha: float) -> dict[str, list[str]]:
    """Reasons to look at an annotator, by name; [] for most.

    alpha: chance that anybody is named although all are alike, split over annotators and the four habits.
    """
    limit = alpha / 4 / max(len(people), 1)
    found: dict[str, list[str]] = {}
    for name, mine in people.items():
        others = [habits for other, habits in people.items() if other != name]
        tests = (
            _share("ties", "ties all candidates", mine, others, limit),
            _share("all_bad", "marks all candidates as bad", mine, others, limit),
            _shown_order(mine, limit),
            _too_fast(mine, others, limit),
        )
        found[name] = [reason for reason in tests if reason]
    return found


def _share(what: str, words: str, mine: Habits, others: list[Habits], limit: float) -> str:
    """One of the counts as a share of the votes, beside that of the others (Fisher's exact test)."""
    hits, other_hits = getattr(mine, what), sum(getattr(other, what) for other in others)
    votes, other_votes = mine.votes, sum(other.votes for other in others)
    if votes < FEWEST or not hits:
        return ""
    if not other_votes:
        return f"{words} in {hits} of {votes} votes" if hits > 0.9 * votes else ""
    usual = other_hits / other_votes
    if hits / votes - usual < ABOVE or fisher_above(hits, votes, other_hits, other_votes) > limit:
        return ""
    return f"{words} in {hits} of {votes} votes, the others in {usual:.0%}"


def _shown_order(mine: Habits, limit: float) -> str:
    """The order in which the page shows candidates is random: to keep it every time is no judgement."""
    votes = len(mine.shown)
    if votes < FEWEST or mine.in_order < votes / 2 or upper_tail(mine.in_order, mine.shown) > limit:
        return ""
    return f"keeps the order shown in {mine.in_order} of {votes} votes"


def _too_fast(mine: Habits, others: list[Habits], limit: float) -> str:
    """Far below the others' times: the median below a third of theirs, and confirmed by a sign test."""
    medians = [statistics.median(other.seconds) for other in others if other.seconds]
    if len(mine.seconds) < FEWEST or not medians:
        return ""
    usual, median = statistics.median(medians), statistics.median(mine.seconds)
    faster = sum(seconds < usual for seconds in mine.seconds)
    if median >= FAST * usual or upper_tail(faster, [0.5] * len(mine.seconds)) > limit:
        return ""
    return f"takes {median:.3g} s a vote, the others {usual:.3g} s"
