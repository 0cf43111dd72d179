"""Annotators that disagree with all others: how often, how soon and how wrongly the trust report flags them.

    python benchmarks/rankings/flags.py [--runs 200] [--first-seed 100000] [--json]

Prompts with K = 4 … 10 candidates and a true order. Everybody answers every pair of candidates; an answer is flipped
with the annotator's own rate; candidates are ranked by the pairs they won, equal numbers are ties. One annotator is
not like the others. A vote is one ranked prompt. Of nine annotators each prompt gets all, five, four or three; or there
are four, who rank everything. The test's bets were chosen on seeds from 0 on, so the figures are made with others.
"""

import argparse
import json
import random
import statistics

from tasks.rank.trust.dissent import dissents
from tasks.rank.trust.report import DISSENT, trust
from tasks.rank.trust.votes import Block, block
from tasks.rankings import RankedPrompt, Ranking

VOTES = 50
PANELS = ((9, 9), (9, 5), (9, 4), (9, 3), (4, 4))  # annotators; of them a prompt
# name → flips of the others; of the one; whole votes of the one that are reversed; that are at random
Case = tuple[float, float, float, float]
CASES: dict[str, Case] = {
    "reversed": (0.1, 0.1, 1.0, 0.0),
    "at random": (0.1, 0.1, 0.0, 1.0),
    "one answer in ten flipped, the others consistent": (0.0, 0.1, 0.0, 0.0),
    "one vote in ten reversed, the others consistent": (0.0, 0.0, 0.1, 0.0),
    "three answers in ten flipped, the others one": (0.1, 0.3, 0.0, 0.0),
    "honest like the others, one in ten": (0.1, 0.1, 0.0, 0.0),
    "honest like the others, three in ten": (0.3, 0.3, 0.0, 0.0),
}


def vote(rng: random.Random, size: int, flips: float) -> list[int]:
    """Ranks from the pairs won, the true order being 0, 1, …"""
    won = [0] * size
    for i in range(size):
        for j in range(i + 1, size):
            won[j if rng.random() < flips else i] += 1
    order = sorted(set(won), reverse=True)
    return [order.index(wins) + 1 for wins in won]


def turned(rng: random.Random, ranks: list[int], reverse: bool, at_random: float) -> list[int]:
    if rng.random() < at_random:
        return rng.sample(range(1, len(ranks) + 1), len(ranks))
    return [max(ranks) + 1 - rank for rank in ranks] if reverse else ranks


def simulate(seed: int, case: Case, people: int, overlap: int) -> list[Block]:
    """Blocks of prompts until annotator "0", the one in question, has VOTES votes."""
    rng = random.Random(seed)
    others, own, reverse, at_random = case
    upside_down = {
        n for start in range(0, VOTES, 10) for n in rng.sample(range(start, start + 10), round(10 * reverse))
    }
    blocks, mine = [], 0
    while mine < VOTES:
        size = rng.randint(4, 10)
        names = sorted(rng.sample(range(people), overlap))
        rows = []
        for name in names:
            ranks = vote(rng, size, own if name == 0 else others)
            if name == 0:
                ranks = turned(rng, ranks, mine in upside_down, at_random)
                mine += 1
            rows.append(ranks)
        blocks.append(block(rows, [str(name) for name in names]))
    return blocks


def measure(seeds: range, case: Case, people: int, overlap: int) -> dict[str, float]:
    """Share of runs in which the one was flagged, its votes at the flag, share of runs with another one flagged."""
    at, wrong = [], 0
    for seed in seeds:
        found = dissents(simulate(seed, case, people, overlap), people, DISSENT)
        one = found["0"]
        if one.flagged:
            at.append(one.flagged_at or 0)
        wrong += any(test.flagged for name, test in found.items() if name != "0")
    return {
        "flagged": len(at) / len(seeds),
        "median_votes": statistics.median(at) if at else float("nan"),
        "most_votes": max(at, default=0),
        "others_flagged": wrong / len(seeds),
    }


def honest_report(seed: int, people: int = 8) -> int:
    """Annotators flagged, for whatever reason, by the whole report on honest ones: random places, times, all-bad."""
    rng = random.Random(seed)
    items = []
    for number in range(VOTES):
        size = rng.randint(4, 10)
        rankings = [
            Ranking(
                vote(rng, size, 0.1),
                annotator=str(name),
                shown=rng.sample(range(size), size),
                all_bad=rng.random() < 0.05,
                seconds=rng.lognormvariate(3.5, 0.5),
            )
            for name in range(people)
        ]
        prompt = [{"role": "user", "content": str(number)}]
        items.append(RankedPrompt(prompt, [str(candidate) for candidate in range(size)], rankings))
    return len(trust(items)["flagged"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.runs)
    rows = []
    for name, case in CASES.items():
        for people, overlap in PANELS:
            row = {"case": name, "people": people, "overlap": overlap} | measure(seeds, case, people, overlap)
            rows.append(row)
            if not given.json:
                print(
                    f"{name:50} {overlap} of {people}  flagged {row['flagged']:6.1%}  votes {row['median_votes']:4.0f} "
                    f"(most {row['most_votes']})  others {row['others_flagged']:.1%}",
                    flush=True,
                )
    wrong = sum(honest_report(seed) > 0 for seed in seeds) / given.runs
    if given.json:
        print(json.dumps({"cases": rows, "honest_reports_that_flag": wrong, "first_seed": given.first_seed}))
    else:
        print(f"whole reports on 8 honest annotators that flag anybody: {wrong:.1%} of {given.runs}")


if __name__ == "__main__":
    main()
