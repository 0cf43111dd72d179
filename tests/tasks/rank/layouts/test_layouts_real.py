"""Every public set of preferences at hand, with exact counts."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from configs.schema.sources import RankingSource
from tasks.rank.layouts.item import Rejected, Unpaired
from tasks.rank.layouts.source import read_source
from tasks.rankings import RankedPrompt, pairs, tied_pairs

pytestmark = pytest.mark.real


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("PLUMBLINE_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PLUMBLINE_TEST_DATA names no folder")
    return Path(folder) / "prefs"


Found = tuple[list[RankedPrompt], list[Unpaired], list[Rejected]]


def rows_of(folder: Path, name: str) -> Found:
    file = folder / f"{name}.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"no {name}")
    found = list(read_source(RankingSource(path="p"), [file]))
    return (
        [row for row in found if isinstance(row, RankedPrompt)],
        [row for row in found if isinstance(row, Unpaired)],
        [row for row in found if isinstance(row, Rejected)],
    )


# name: items, pairs, tied pairs, unpaired answers, rejected
COUNTS = {
    "alpaca_eval_kway_helpful_base": (129, 8617, 1, 0, 22),
    "hh_rlhf_harmless_test": (1144, 1144, 0, 0, 5),
    "lf_dpo_en": (300, 300, 0, 0, 0),
    "lf_dpo_zh": (300, 300, 0, 0, 0),
    "lf_kto_en": (1, 1, 0, 298, 0),
    "medicalgpt_dpo_zh": (500, 500, 0, 0, 0),
    "oasst_en_tree": (113, 422, 0, 0, 0),
    "oasst_rm_zh_kway": (538, 1256, 0, 0, 2),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(real_data: Path, name: str) -> None:
    items, unpaired, rejected = rows_of(real_data, name)
    orders = [ranks for item in items for ranks in item.ranks]
    found = (len(items), sum(len(pairs(ranks)) for ranks in orders), sum(map(tied_pairs, orders)))
    assert (*found, len(unpaired), len(rejected)) == COUNTS[name]


def test_no_set_is_left_out(real_data: Path) -> None:
    assert {file.name.removesuffix(".jsonl.gz") for file in real_data.iterdir()} <= set(COUNTS)


def test_the_five_bad_pairs_of_hh(real_data: Path) -> None:
    _, _, rejected = rows_of(real_data, "hh_rlhf_harmless_test")
    assert [(row.line, row.error) for row in rejected] == [
        (248, "the last reply of chosen is empty"),
        (459, "the last reply of chosen is empty"),
        (833, "chosen and rejected have different prompts"),
        (964, "chosen and rejected have different prompts"),
        (965, "chosen and rejected have different prompts"),
    ]


def test_the_five_bad_pairs_of_hh_by_another_rule(real_data: Path) -> None:
    """Cut at the last "Assistant:", two strings a side: no splitting into turns."""
    file = real_data / "hh_rlhf_harmless_test.jsonl.gz"
    if not file.is_file():
        pytest.skip("no hh_rlhf_harmless_test")
    bad = []
    for line, text in enumerate(gzip.decompress(file.read_bytes()).strip().split(b"\n"), start=1):
        sides = [json.loads(text)[key].rpartition("\n\nAssistant:") for key in ("chosen", "rejected")]
        if sides[0][0] != sides[1][0] or not sides[0][2].strip() or not sides[1][2].strip():
            bad.append(line)
    assert bad == [248, 459, 833, 964, 965]


def test_oasst_sizes_and_turns(real_data: Path) -> None:
    trees, _, _ = rows_of(real_data, "oasst_en_tree")
    assert Counter(len(item.candidates) for item in trees) == {2: 31, 3: 60, 4: 15, 5: 1, 6: 5, 9: 1}
    rows, _, rejected = rows_of(real_data, "oasst_rm_zh_kway")
    assert Counter(len(item.candidates) for item in rows) == {2: 299, 3: 180, 4: 49, 5: 8, 6: 1, 8: 1}
    # Five rows hold an answer twice; two of them hold nothing else
    assert [(row.line, row.reason) for row in rejected] == [
        (104, "1 different candidates, a ranking needs 2"),
        (222, "1 different candidates, a ranking needs 2"),
    ]
    assert Counter(len(item.prompt) for item in rows) == {1: 264, 3: 255, 5: 19}


def test_alpaca_eval_comparisons(real_data: Path) -> None:
    items, _, rejected = rows_of(real_data, "alpaca_eval_kway_helpful_base")
    assert sum(len(item.rankings) for item in items) == 8618  # 6,834 + 2,064 values, 258 on the baselines, 22 bad
    assert Counter(row.reason for row in rejected) == {"the two outputs are the same": 13, "`pref_v1` is 0": 9}
    assert all(len(item.models) == len(item.candidates) for item in items)
    assert {sum(rank > 0 for rank in ranks) for item in items for ranks in item.ranks} == {2}


def test_system_prompts_are_kept(real_data: Path) -> None:
    for name, count in (("lf_dpo_en", 80), ("lf_dpo_zh", 64), ("medicalgpt_dpo_zh", 84)):
        items, _, _ = rows_of(real_data, name)
        assert sum(item.prompt[0]["role"] == "system" for item in items) == count
