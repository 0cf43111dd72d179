"""What should not decide and may: the place where a candidate stood, its length, the model that wrote it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.rank.trust.exact import chi_square_above, two_sided
from tasks.rank.trust.intervals import Share, grouped_share, wilson
from tasks.rankings import RankedPrompt, Ranking, pairs

FEW = 5.0  # expected winners of a place below which the chi-square approximation is not used


@dataclass(frozen=True)
class Position:
    """Does the place decide? first: share of votes in which the candidate shown first is best, a tie for the best
    counting; expected: the share that random places give; p: exact, two-sided. places: wins and what was expected, by
    place; places_p: chi-square over the places, None with too few votes.
    """

    votes: int
    first: float | None
    low: float | None
    high: float | None
    expected: float | None
    p: float | None
    places: list[tuple[float, float]]
    places_p: float | None


@dataclass
class Places:
    """Counts of winners by place; add rankings, then read ``result``."""

    firsts: int = 0
    chances: list[float] = field(default_factory=list)
    wins: Counter[int] = field(default_factory=Counter)
    expected: Counter[int] = field(default_factory=Counter)

    def add(self, ranking: Ranking) -> None:
        """A vote that names a winner and says where everything stood; others say nothing."""
        ranked = [number for number, rank in enumerate(ranking.ranks) if rank]
        if not ranking.shown or len(ranked) < 2:
            return
        order = sorted(ranked, key=lambda number: ranking.shown[number])
        best = min(ranking.ranks[number] for number in ranked)
        winners = [place for place, number in enumerate(order) if ranking.ranks[number] == best]
        if len(winners) == len(order):
            return
        self.firsts += winners[0] == 0
        self.chances.append(len(winners) / len(order))
        for place in winners:
            self.wins[place] += 1 / len(winners)  # type: ignore[assignment]  # a Counter adds fractions as well
        for place in range(len(order)):
            self.expected[place] += 1 / len(order)  # type: ignore[assignment]

    def result(self) -> Position:
        votes = len(self.chances)
        if not votes:
            return Position(0, None, None, None, None, None, [], None)
        share = self.firsts / votes
        places = [(float(self.wins[place]), float(self.expected[place])) for place in sorted(self.expected)]
        # Places of few votes are taken together with the last one that has enough
        kept = [pair for pair in places if pair[1] >= FEW]
        rest = [pair for pair in places if pair[1] < FEW]
        if kept and rest:
            kept[-1] = (kept[-1][0] + sum(w for w, _ in rest), kept[-1][1] + sum(e for _, e in rest))
        chi_square = sum((won - due) ** 2 / due for won, due in kept)
        places_p = chi_square_above(chi_square, len(kept) - 1) if len(kept) > 1 else None
        expected = sum(self.chances) / votes
        return Position(
            votes, share, *wilson(share, votes), expected, two_sided(self.firsts, self.chances), places, places_p
        )


def longer_share(rankings: Iterable[tuple[RankedPrompt, Ranking]]) -> Share:
    """Share of decided pairs in which the longer candidate, in characters, is the better one; equal lengths half."""
    hits: defaultdict[str, float] = defaultdict(float)
    totals: defaultdict[str, float] = defaultdict(float)
    for item, ranking in rankings:
        sizes, key = [len(text) for text in item.candidates], item.prompt_key
        for better, worse in pairs(ranking.ranks):
            hits[key] += 0.5 if sizes[better] == sizes[worse] else float(sizes[better] > sizes[worse])
            totals[key] += 1
    return grouped_share(list(hits.values()), list(totals.values()))


def model_wins(items: Iterable[RankedPrompt]) -> dict[str, Share]:
    """Share of comparisons with other models' candidates that each model wins, ties half; the best first."""
    hits: defaultdict[str, list[float]] = defaultdict(list)
    totals: defaultdict[str, list[float]] = defaultdict(list)
    for item in items:
        if not item.models:
            continue
        won: Counter[str] = Counter()
        met: Counter[str] = Counter()
        for ranks in item.ranks:
            for i, first in enumerate(ranks):
                for j, second in enumerate(ranks):
                    if first and second and item.models[i] != item.models[j]:
                        won[item.models[i]] += 2 * (first < second) + (first == second)
                        met[item.models[i]] += 2
        for model, count in met.items():
            hits[model].append(won[model] / 2)
            totals[model].append(count / 2)
    found = {model: grouped_share(hits[model], totals[model]) for model in totals}
    return dict(sorted(found.items(), key=lambda pair: (-(pair[1].value or 0.0), pair[0])))
