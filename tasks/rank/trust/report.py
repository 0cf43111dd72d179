"""The trust report: everything that is measured on a set of rankings, as plain values for trust.json."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tasks.rank.trust.agreement import Agreement, agreements, overall
from tasks.rank.trust.bias import Places, longer_share, model_wins
from tasks.rank.trust.concordance import concordance
from tasks.rank.trust.cycles import cycles
from tasks.rank.trust.dissent import Dissent, dissents
from tasks.rank.trust.habits import Habits, complaints
from tasks.rank.trust.intervals import Share
from tasks.rank.trust.reliability import Alpha, rank_alpha, vote_alpha
from tasks.rank.trust.repeats import self_consistency
from tasks.rank.trust.votes import Block, block, shared_blocks
from tasks.rankings import RankedPrompt, Ranking, length_baseline, pairs, tied_pairs

FALSE_FLAGS = 0.01  # chance that a report flags anybody although all annotators are alike
DISSENT, HABITS = 0.8 * FALSE_FLAGS, 0.2 * FALSE_FLAGS  # its parts; habits show clearly where there are any
MOST_PARTNERS = 300  # pairs of annotators listed, those with the most prompts first

Votes = list[tuple[RankedPrompt, Ranking]]


def trust(items: list[RankedPrompt], repeated: Iterable[RankedPrompt] = (), seed: int = 0) -> dict[str, Any]:
    """Agreement, cycles, biases, and annotators to look at. What the rankings do not allow to measure is None or [].

    items: rankings merged by prompt and candidates, in the order of time. repeated: the same before merging, where
    an annotator may have ranked a prompt twice. seed: of the bootstrap.
    """
    votes = [(item, ranking) for item in items for ranking in item.rankings]
    shared = shared_blocks(items)
    people = _people(items, votes, shared, list(repeated) or items, seed)
    alone, paired = agreements(shared, seed)
    for one in people:
        one["agreement"] = _agreement(alone.get(one["name"]))
    found = cycles(items)
    return {
        "prompts": len({item.prompt_key for item in items}),
        "rankings": len(votes),
        "false_flags": FALSE_FLAGS,
        "agreement": {
            "prompts": len(shared),
            "pairs_alike": _share(overall(shared)),
            "kendall_w": _plain(concordance(shared, seed).__dict__),
            "alpha_ranks": _alpha(rank_alpha(shared, seed)),
            "alpha_votes": _alpha(vote_alpha(shared, seed)),
        },
        "annotators": people,
        "partners": _partners(paired),
        "flagged": [{"name": one["name"], "reasons": one["flags"]} for one in people if one["flags"]],
        "cycles": {
            "triads": int(found.share.total),
            "intransitive": _share(found.share),
            "chance": 0.25,
            "prompts": found.prompts,
            "cyclic_prompts": found.cyclic,
            "examples": found.examples,
        },
        "position": _position(votes),
        "length": {
            "longer_wins": _share(longer_share(votes)),
            "baseline": _finite(length_baseline(items)),
            "random": 0.5,
        },
        "models": [{"name": name, "wins": _share(share)} for name, share in model_wins(items).items()],
        "origins": _origins(votes),
    }


def metrics(report: dict[str, Any]) -> dict[str, Any]:
    """What the manifest of the rankings says of the report."""
    agreement = report["agreement"]
    return {
        "annotators": len(report["annotators"]),
        "flagged": len(report["flagged"]) if report["annotators"] else None,
        "kendall_w": agreement["kendall_w"]["value"],
        "krippendorff_alpha": agreement["alpha_votes"]["value"],
        "cycles": report["cycles"]["intransitive"]["value"],
    }


def _people(
    items: list[RankedPrompt], votes: Votes, shared: list[Block], repeated: list[RankedPrompt], seed: int
) -> list[dict[str, Any]]:
    by_name: defaultdict[str, Votes] = defaultdict(list)
    for item, ranking in votes:
        if ranking.annotator:
            by_name[ranking.annotator].append((item, ranking))
    habits: dict[str, Habits] = {name: Habits() for name in by_name}
    for name, given in by_name.items():
        for _, ranking in given:
            habits[name].add(ranking)
    every = [block(item.ranks, [ranking.annotator for ranking in item.rankings]) for item in items] if shared else []
    tested = dissents(every, len(by_name), DISSENT)
    complained = complaints(habits, HABITS)
    steady = self_consistency(repeated)
    rows = []
    for name, given in sorted(by_name.items()):
        mine, test = habits[name], tested.get(name)
        flags = ([_accusation(test)] if test is not None and test.flagged else []) + complained[name]
        rows.append(
            {
                "name": name,
                "votes": mine.votes,
                "pairs": sum(len(pairs(ranking.ranks)) for _, ranking in given),
                "dissent": _dissent(test),
                "ties": mine.ties,
                "all_bad": mine.all_bad,
                "in_shown_order": mine.in_order,
                "median_seconds": _round(statistics.median(mine.seconds)) if mine.seconds else None,
                "longer_wins": _share(longer_share(given)),
                "position": _position(given),
                "self_consistency": _share(steady[name]) if name in steady else None,
                "flags": flags,
            }
        )
    return rows


def _accusation(test: Dissent) -> str:
    own, rest = test.disagreement or 0.0, test.among_others or 0.0
    like = "as if reversed" if own > 0.65 else "as if at random" if own > 0.4 else "more than the others"
    return (
        f"disagrees {like}: on {own:.0%} of pairs, the others among themselves on {rest:.0%} "
        f"(certain after {test.flagged_at} votes)"
    )


def _dissent(test: Dissent | None) -> dict[str, Any] | None:
    if test is None or not test.prompts:
        return None
    return _plain(test.__dict__) | {"excess": _round(test.excess)}


def _partners(paired: dict[tuple[str, str], Agreement]) -> list[dict[str, Any]]:
    kept = sorted(paired.items(), key=lambda pair: -pair[1].prompts)[:MOST_PARTNERS]
    return [{"names": list(names)} | (_agreement(found) or {}) for names, found in sorted(kept)]


def _position(votes: Votes) -> dict[str, Any]:
    places = Places()
    for _, ranking in votes:
        places.add(ranking)
    return _plain(places.result().__dict__)


def _origins(votes: Votes) -> list[dict[str, Any]]:
    by_origin: defaultdict[str, Votes] = defaultdict(list)
    for item, ranking in votes:
        by_origin[ranking.origin].append((item, ranking))
    return [
        {
            "name": origin,
            "rankings": len(given),
            "pairs": sum(len(pairs(ranking.ranks)) for _, ranking in given),
            "tied_pairs": sum(tied_pairs(ranking.ranks) for _, ranking in given),
            "longer_wins": _share(longer_share(given)),
            "position": _position(given),
        }
        for origin, given in sorted(by_origin.items())
    ]


def _agreement(found: Agreement | None) -> dict[str, Any] | None:
    return None if found is None else _plain(found.__dict__ | {"share": None}) | {"share": _share(found.share)}


def _alpha(found: Alpha) -> dict[str, Any]:
    return _plain(found.__dict__)


def _share(found: Share) -> dict[str, Any]:
    return _plain(found.__dict__)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _round(value) for name, value in values.items()}


def _round(value: Any) -> Any:
    """Six decimals: what differs between machines is not written."""
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, (list, tuple)):
        return [_round(one) for one in value]
    return value


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
