"""What a layout cannot hold of a ranked prompt, counted by its name, and the pairs that it can."""

from collections.abc import Iterator

from tasks.rank.layouts.item import Lost
from tasks.rankings import RankedPrompt, Ranking, pairs, tied_pairs


def count_about(item: RankedPrompt, lost: Lost, *held: str) -> None:
    """Count what is known of the rankings, and of the candidates, beyond the ranks. held: fields that are kept."""
    for ranking in item.rankings:
        for field, name in _ABOUT.items():
            lost[name] += field not in held and bool(getattr(ranking, field))
        lost["seconds"] += "seconds" not in held and ranking.seconds is not None
    lost["prompts with the models' names"] += "models" not in held and bool(item.models)


_ABOUT = {
    "annotator": "annotators' names",
    "ratings": "rankings with ratings",
    "shown": "rankings with the places",
    "all_bad": "all-bad marks",
    "axes": "rankings with axes",
    "comment": "comments",
}


def ranked_alone(item: RankedPrompt, lost: Lost) -> Iterator[Ranking]:
    """Each ranking that orders something; those of fewer than two candidates are counted."""
    for ranking in item.rankings:
        if sum(map(bool, ranking.ranks)) > 1:
            yield ranking
        else:
            lost["rankings of fewer than 2 candidates"] += 1


def as_pairs(item: RankedPrompt, lost: Lost) -> Iterator[tuple[Ranking, int, int]]:
    """(ranking, better, worse) of every pair with two answers that say something. Ties are counted."""
    for ranking in ranked_alone(item, lost):
        lost["tied pairs"] += tied_pairs(ranking.ranks)
        for better, worse in pairs(ranking.ranks):
            if item.candidates[better].strip() and item.candidates[worse].strip():
                yield ranking, better, worse
            else:
                lost["pairs with an empty answer"] += 1


def says_nothing(item: RankedPrompt, lost: Lost) -> bool:
    """Whether an answer is empty: such a prompt is counted, for layouts whose rows need a text for each answer."""
    empty = not all(text.strip() for text in item.candidates)
    lost["prompts with an empty answer"] += empty
    return empty
