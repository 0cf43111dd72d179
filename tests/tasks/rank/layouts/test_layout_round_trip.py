"""Written and read again, a layout gives the same rankings, for whatever it can hold."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.sources import RankingSource
from tasks.rank.layouts.item import Rejected
from tasks.rank.layouts.source import read_source
from tasks.rank.layouts.table import WRITTEN, detect
from tasks.rank.layouts.written import write_file
from tasks.rankings import Messages, RankedPrompt, Ranking, merge_rankings

# Beside letters what breaks formats: quotes, speakers' marks, line ends of all kinds, other scripts
TEXT = st.text(st.sampled_from('ab"\\\n:{}[]<>,\u2028\x85é中🙂'), max_size=8).map(lambda text: f"x{text}y") | st.just(
    "\n\nHuman: a\n\nAssistant: b"
)
NUMBERS = st.integers(-8, 8).map(lambda number: number / 4)


@st.composite
def prompts(draw: st.DrawFn) -> Messages:
    system = [{"role": "system", "content": draw(TEXT)}] if draw(st.booleans()) else []
    turns = draw(st.sampled_from([1, 1, 3]))
    roles = ["user", "assistant", "user"][:turns]
    return system + [{"role": role, "content": draw(TEXT)} for role in roles]


@st.composite
def rankings(draw: st.DrawFn, count: int) -> Ranking:
    places = draw(st.lists(st.none() | st.integers(1, 4), min_size=count, max_size=count))
    lists: Any = lambda values: st.just([]) | st.lists(values, min_size=count, max_size=count)  # noqa: E731
    marks = st.lists(st.none() | st.integers(1, 5), min_size=count, max_size=count)
    return Ranking.of(
        places if sum(place is not None for place in places) > 1 else range(count),
        annotator=draw(st.sampled_from(["", "ann", "bob@example.org", "7"])),
        ratings=draw(lists(NUMBERS)),
        shown=draw(st.just([]) | st.permutations(range(count))),
        all_bad=draw(st.booleans()),
        axes=draw(st.dictionaries(st.sampled_from(["helpful", "honest"]), marks)),
        comment=draw(st.just("") | TEXT),
        seconds=draw(st.none() | st.integers(0, 9).map(float)),
    )


@st.composite
def items(draw: st.DrawFn) -> RankedPrompt:
    candidates = draw(st.lists(TEXT, min_size=2, max_size=4, unique=True))
    count = len(candidates)
    found = draw(st.lists(rankings(count), min_size=1, max_size=3))
    models = draw(st.just([]) | st.lists(st.sampled_from(["m", "n"]), min_size=count, max_size=count))
    return RankedPrompt(draw(prompts()), candidates, found, models)


def there_and_back(layout: str, item: RankedPrompt) -> tuple[list[RankedPrompt], dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        lost = write_file([item], layout, file).lost
        # What was written can be told from its keys
        assert all(detect(json.loads(line), "row") in (layout, "pairs") for line in file.open(encoding="utf-8"))
        found = list(read_source(RankingSource(path="p", format=layout), [file]))
    assert not [row for row in found if isinstance(row, Rejected)]
    return [row for row in found if isinstance(row, RankedPrompt)], lost


def merged(found: list[RankedPrompt]) -> dict[str, tuple[RankedPrompt, list[str]]]:
    """Items by prompt and set of candidates, with candidates in alphabetical order; rankings in any order."""
    result = {}
    for item in merge_rankings(found)[0]:
        order = sorted(range(len(item.candidates)), key=item.candidates.__getitem__)
        turned = [replace(ranking.take(order), origin="") for ranking in item.rankings]
        taken = sorted(repr(replace(each, axes=dict(sorted(each.axes.items())))) for each in turned)
        models = [item.models[at] for at in order] if any(item.models) else []
        plain = RankedPrompt(item.prompt, [item.candidates[at] for at in order], [], models)
        result[item.id] = (plain, taken)
    return result


@settings(max_examples=25)
@given(items())
def test_own_rows_hold_everything(item: RankedPrompt) -> None:
    found, lost = there_and_back("own", item)
    assert lost == {}
    assert [replace(ranking, origin="") for ranking in found[0].rankings] == item.rankings
    assert (found[0].prompt, found[0].candidates, found[0].models) == (item.prompt, item.candidates, item.models)


@pytest.mark.parametrize("layout", [name for name in WRITTEN if name != "own"])
@settings(max_examples=25)
@given(item=items())
def test_where_nothing_is_lost_everything_is_there(layout: str, item: RankedPrompt) -> None:
    """The item is cut down to what the layout holds (below), then nothing may be said to be lost, nor be lost."""
    item = replace(item, **CUT[layout](item))
    found, lost = there_and_back(layout, item)
    if layout == "hh" and "pairs whose texts have blank ends or a speaker's mark" in lost:
        assert found == []
        return
    assert lost == {}
    assert merged(found) == merged([item])


def _cut(
    item: RankedPrompt, held: tuple[str, ...], roles: tuple[str, ...], *, pair: bool, strict: bool, models: bool = False
) -> dict[str, Any]:
    """What of an item a layout holds: fields of the rankings, turns of the prompt, K, ties."""
    kept = [0, 1] if pair else list(range(len(item.candidates)))
    short = []
    for ranking in item.rankings:
        taken = ranking.take(kept)
        if strict or 0 in taken.ranks:
            taken = replace(taken, ranks=list(range(1, len(kept) + 1)))
        short.append(Ranking(taken.ranks, **{field: getattr(taken, field) for field in held}))
    turns = [turn for turn in item.prompt if turn["role"] in roles]
    return {
        "prompt": turns if "assistant" in roles else turns[-1:] if "system" not in roles else item.prompt,
        "candidates": [item.candidates[at] for at in kept],
        "rankings": short,
        "models": [item.models[at] for at in kept] if item.models and models else [],
    }


USER, TALK, ALL = ("user",), ("user", "assistant"), ("system", "user", "assistant")


def _ratings_in_order(cut: dict[str, Any]) -> dict[str, Any]:
    """UltraFeedback's ranks are those of the ratings."""
    count = len(cut["candidates"])
    ratings = [[float(-rank) for rank in each.ranks] for each in cut["rankings"]]
    axes = [{name: m for name, m in each.axes.items() if any(v is not None for v in m)} for each in cut["rankings"]]
    named = zip(cut["rankings"], ratings, axes, strict=True)
    assert all(len(each) == count for each in ratings)
    return {**cut, "rankings": [replace(ranking, ratings=r, axes=a) for ranking, r, a in named]}


CUT: dict[str, Any] = {
    "pairs": lambda item: _cut(item, ("ratings",), USER, pair=True, strict=True),
    "pairs-chat": lambda item: _cut(item, ("ratings",), ALL, pair=True, strict=True),
    "hh": lambda item: _cut(item, (), TALK, pair=True, strict=True),
    "oasst": lambda item: _cut(item, (), TALK, pair=False, strict=False, models=True),
    "alpaca-eval": lambda item: _cut(item, ("annotator",), USER, pair=True, strict=False, models=True),
    "ultrafeedback": lambda item: _ratings_in_order(_cut(item, ("axes",), USER, pair=False, strict=False, models=True)),
    "label-studio": lambda item: _cut(item, ("annotator", "seconds"), ALL, pair=False, strict=True, models=True),
    "argilla": lambda item: _cut(item, ("annotator",), ALL, pair=False, strict=False, models=True),
}
