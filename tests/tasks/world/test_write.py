"""The files of the small world: sizes, disjointness, what is planted, determinism."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from configs.schema.corpus import FilterConfig
from configs.schema.world import WorldConfig
from tasks.corpus.neardup.texts import from_strings
from tasks.corpus.pii import find_pii
from tasks.corpus.quality.judge import judge
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.world.planted import CONTROLS, JUNK, PII, jaccard
from tasks.world.prompts import prompts_of
from tasks.world.rubric import follows
from tasks.world.write import write_world

CONFIG = WorldConfig(
    seed=5, stories=600, documents=200, exact_duplicates=20, near_duplicates=20, junk=16, pii=20, malformed=5,
    instructions=300, ranked_prompts=60, rank_prompts=30, heldout=80, prompts=60, heldout_prompts=40,
)  # fmt: skip


def make(config: WorldConfig, folder: Path) -> Path:
    out, work = folder / "out", folder / "work"
    out.mkdir(parents=True)
    work.mkdir()
    write_world(config, Inputs(), out, Live(work))
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(CONFIG, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def documents(world: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for line in (world / "documents.jsonl").read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[row["id"]] = row
    return found


@pytest.fixture(scope="module")
def planted(world: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world / "planted.json").read_text())
    return found


def test_same_seed_same_bytes_other_seed_other_bytes(world: Path, tmp_path: Path) -> None:
    again = make(CONFIG, tmp_path / "again")
    other = make(CONFIG.model_copy(update={"seed": 6}), tmp_path / "other")
    for path in sorted(world.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes()
        assert path.read_bytes() != (other / path.name).read_bytes(), path.name


def test_a_longer_file_leaves_the_others_alone(world: Path, tmp_path: Path) -> None:
    longer = make(CONFIG.model_copy(update={"instructions": 400, "prompts": 90}), tmp_path)
    changed = {path.name for path in world.iterdir() if path.read_bytes() != (longer / path.name).read_bytes()}
    assert changed == {"instructions.jsonl", "prompts.jsonl"}
    start = (world / "instructions.jsonl").read_bytes()
    assert (longer / "instructions.jsonl").read_bytes().startswith(start)


def test_prompt_files_are_disjoint(world: Path) -> None:
    files = {
        name: {row["prompt"] for row in rows(world / f"{name}.jsonl")}
        for name in ("rankings", "rank_prompts", "prompts", "heldout_prompts")
    }
    files["instructions"] = {row["messages"][0]["content"] for row in rows(world / "instructions.jsonl")}
    for (one, left), (two, right) in combinations(files.items(), 2):
        assert not left & right, (one, two)
    assert len(files["prompts"]) == 60  # and each prompt comes once


def test_instructions_follow_and_candidates_differ_in_rank(world: Path) -> None:
    for row in rows(world / "instructions.jsonl"):
        assert follows(row["messages"][0]["content"], row["messages"][1]["content"])
    for row in rows(world / "rankings.jsonl"):
        assert len(set(row["candidates"])) == CONFIG.candidates
        assert min(row["ranks"][0]) == 1 < max(row["ranks"][0])
        assert any(follows(row["prompt"], text) for text in row["candidates"])


def test_held_out_text_is_new_and_carries_nats(world: Path, documents: dict[str, dict[str, Any]]) -> None:
    heldout = rows(world / "heldout.jsonl")
    trained = {row["text"] for row in rows(world / "stories.jsonl")} | {row["text"] for row in documents.values()}
    assert len(heldout) == CONFIG.heldout
    assert not trained & {row["text"] for row in heldout}
    assert all(row["metadata"]["nats"] > 0 for row in heldout)
    assert {row["metadata"]["kind"] for row in heldout} > {"note", "chat"}


def test_chat_rows_hold_their_messages(world: Path) -> None:
    for row in rows(world / "stories.jsonl"):
        messages = row["metadata"].get("messages")
        assert (messages is not None) == (row["metadata"]["kind"] == "chat")
        if messages:
            assert row["text"] == "\n".join(message["content"] for message in messages)


def test_planted_counts(documents: dict[str, dict[str, Any]], planted: dict[str, Any]) -> None:
    counts = {name: len(items) for name, items in planted.items()}
    assert counts == {
        "exact_duplicates": 20, "near_duplicates": 20, "junk": 16, "pii": 20, "malformed": 5, "controls": 8
    }  # fmt: skip
    assert set(planted["controls"].values()) == {*CONTROLS, "short"}
    assert len(documents) == 200 + 20 + 20 + 16 + 20 + 8
    assert set(planted["junk"].values()) == set(JUNK)
    assert set(planted["pii"].values()) == set(PII)
    marked = {identity for name, items in planted.items() if name != "malformed" for identity in items}
    for identity, row in documents.items():
        assert ("nats" in row["metadata"]) == (identity not in marked)


def test_copies_are_as_near_as_promised(documents: dict[str, dict[str, Any]], planted: dict[str, Any]) -> None:
    for copy, original in planted["exact_duplicates"].items():
        assert documents[copy]["text"] == documents[original]["text"]
        assert original < copy
    for copy, original in planted["near_duplicates"].items():
        assert 0.75 <= jaccard(documents[copy]["text"], documents[original]["text"]) < 1
        assert original < copy


def test_independent_notes_are_far_apart(documents: dict[str, dict[str, Any]]) -> None:
    notes = [row["text"] for row in documents.values() if "nats" in row["metadata"]]
    assert max(jaccard(one, two) for one, two in combinations(notes, 2)) < 0.6


def test_malformed_lines_are_where_planted(world: Path, planted: dict[str, Any]) -> None:
    lines = (world / "documents.jsonl").read_text().splitlines()
    broken = []
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken.append(number)
    assert broken == planted["malformed"]


def test_junk_fails_its_filter_and_everything_else_passes(
    world: Path, documents: dict[str, dict[str, Any]], planted: dict[str, Any]
) -> None:
    texts = [row["text"] for row in documents.values()]
    assert judged(texts) == [planted["junk"].get(identity) for identity in documents]
    assert set(judged([row["text"] for row in rows(world / "stories.jsonl") + rows(world / "heldout.jsonl")])) == {None}


def judged(texts: list[str]) -> list[str | None]:
    return judge(from_strings(texts), ["en"] * len(texts), FilterConfig()).reasons


def test_personal_data_is_found_where_planted_and_nowhere_else(
    documents: dict[str, dict[str, Any]], planted: dict[str, Any]
) -> None:
    for identity, row in documents.items():
        kind = planted["pii"].get(identity)
        if identity in planted["junk"]:
            continue
        found = [label for _, _, label in find_pii(row["text"], "US")]
        assert found == ([] if kind is None else ["email" if kind == "email" else "phone"]), row["text"]


def test_more_prompts_than_there_are_is_refused(tmp_path: Path) -> None:
    limit = len(prompts_of("prompts"))
    with pytest.raises(BadConfig, match=rf"world.prompts={limit + 1}, but only {limit}"):
        make(CONFIG.model_copy(update={"prompts": limit + 1}), tmp_path)
