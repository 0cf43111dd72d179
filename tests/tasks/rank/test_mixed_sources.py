"""Rankings of the same prompts from several places: people, a program, data sets in three layouts."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.schema.rank import PeopleConfig, RankConfig
from configs.schema.sources import RankingSource
from tasks.candidate_rows import Candidates, write_candidates
from tasks.chat import user
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings, split_by_prompt
from tasks.rankings import RankedPrompt, Ranking, read_rankings

COUNT = 20


def lines(folder: Path, name: str, rows: list[dict[str, Any]]) -> list[Path]:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [file]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[RankedPrompt], list[RankedPrompt], Any, Any]:
    """Train, held out, report and trust of: Ann and Bo and the program `shortest` on the sampled candidates; a file of
    our own layout with the same candidates in another order; one of scores and one of pairs with some of them.
    """
    place = tmp_path_factory.mktemp("mixed")
    asked = [f"question {n}" for n in range(COUNT)]
    write_candidates(place, [Candidates(user(text), ["long", "mid", "s"], 0) for text in asked])
    people = [
        {"prompt": text, "candidates": ["s", "long", "mid"], "ranks": ranks, "annotator": name}
        for text in asked
        for name, ranks in (("ann", [3, 1, 2]), ("bo", [3, 2, 1]))
    ]
    own = [{"prompt": text, "candidates": ["mid", "s", "long"], "ranks": [2, 1, 1]} for text in asked]
    scores = [
        {
            "instruction": text,
            "completions": [{"response": "long", "overall_score": 9}, {"response": "new", "overall_score": 2}],
        }
        for text in asked
    ]
    pairs = [{"prompt": f" {text}\n", "chosen": "mid", "rejected": "other"} for text in asked]
    inputs = Inputs(
        folders={"candidates": place},
        sources={
            "people": lines(place, "sheet.jsonl", people),
            "own": lines(place, "own.jsonl", own),
            "scores": lines(place, "scores.jsonl", scores),
            "pairs": lines(place, "pairs.jsonl", pairs),
        },
    )
    config = RankConfig(
        sources=[
            RankingSource(path="own", name="the house"),
            RankingSource(path="scores"),
            RankingSource(path="pairs"),
        ],
        ranker=["people", "shortest"],
        people=PeopleConfig(path="people"),
        heldout=0.25,
        seed=0,
    )
    out, work = place / "out", place / "work"
    out.mkdir()
    work.mkdir()
    build_rankings(config, inputs, out, Live(work))
    report, trust = (json.loads((out / name).read_text(encoding="utf-8")) for name in ("report.json", "trust.json"))
    return read_rankings(out, "train"), read_rankings(out, "heldout"), report, trust


def test_rankings_of_the_same_candidates_are_one_item_with_every_origin(sides: Any) -> None:
    train, heldout, report, trust = sides
    same = [item for item in train + heldout if set(item.candidates) == {"long", "mid", "s"}]
    assert len(same) == COUNT
    for item in same:
        found = {
            (ranking.origin, ranking.annotator): dict(zip(item.candidates, ranking.ranks, strict=True))
            for ranking in item.rankings
        }
        assert found == {
            ("the house", ""): {"long": 1, "mid": 2, "s": 1},
            ("people", "ann"): {"long": 1, "mid": 2, "s": 3},
            ("people", "bo"): {"long": 2, "mid": 1, "s": 3},
            ("shortest", ""): {"long": 3, "mid": 2, "s": 1},
        }
    assert report["origins"] == {
        "people": 2 * COUNT, "the house": COUNT, "shortest": COUNT, "scores.jsonl": COUNT, "pairs.jsonl": COUNT,
    }  # fmt: skip
    assert {one["name"] for one in trust["annotators"]} == {"ann", "bo"}


def test_other_candidates_of_a_prompt_are_items_of_their_own(sides: Any) -> None:
    train, heldout, _, _ = sides
    for candidates, origin in (({"long", "new"}, "scores.jsonl"), ({"mid", "other"}, "pairs.jsonl")):
        found = [item for item in train + heldout if set(item.candidates) == candidates]
        assert len(found) == COUNT
        assert {ranking.origin for item in found for ranking in item.rankings} == {origin}


def test_no_source_shows_in_training_what_another_holds_out(sides: Any) -> None:
    """All three items of a prompt are on one side, though the pairs come with other white space around it."""
    train, heldout, report, _ = sides
    held, taught = ({item.prompt[0]["content"].strip() for item in side} for side in (heldout, train))
    assert (len(held), len(taught), held & taught) == (5, 15, set())
    assert (len(heldout), len(train)) == (15, 45)
    assert (report["prompts"], report["heldout_prompts"], report["items"]) == (20, 5, 60)


def test_another_spelling_of_one_prompt_moves_no_other_prompt() -> None:
    items = [RankedPrompt(user(f"q {n}"), ["a", "b"], [Ranking([1, 2])]) for n in range(40)]
    held = {item.split_key for item in split_by_prompt(items, 0.2, 0)[1]}
    more = [*items, *(RankedPrompt(user(f"q\n{n} "), ["c", "d"], [Ranking([1, 2])]) for n in range(0, 40, 3))]
    train, heldout = split_by_prompt(more, 0.2, 0)
    assert not {item.split_key for item in train} & {item.split_key for item in heldout}
    assert len({item.split_key for item in heldout}) == len(held) == 8
