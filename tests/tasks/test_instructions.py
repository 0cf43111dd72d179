"""Instruction rows: both layouts, every way to be unusable with its line, choice of rows."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema.sources import InstructionSource
from tasks.failures import BadData
from tasks.instructions import read_source


def _source(**values: Any) -> InstructionSource:
    return InstructionSource(path="x", **values)


def _turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def _write(path: Path, lines: list[Any]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_messages_and_what_is_wrong_with_the_rest(tmp_path: Path) -> None:
    good = {"messages": _turns("a", "b", "c", "d")}
    lines = [
        good,
        "{broken",
        {"messages": []},
        {"messages": _turns("a", " ")},
        {"messages": _turns("a")},
        {"messages": [{"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "tool", "content": "b"}]},
        {"other": 1},
        {"messages": [{"role": "system", "content": "s"}, *_turns("a", "b")]},
        {"messages": ["a", "b"]},
    ]
    usable, unusable = read_source(_source(), [_write(tmp_path / "m.jsonl.gz", lines)], seed=0)
    assert usable == [good["messages"], [{"role": "system", "content": "s"}, *_turns("a", "b")]]
    assert [row.line for row in unusable] == [2, 3, 4, 5, 6, 7, 8, 10]
    assert {row.file for row in unusable} == {"m.jsonl.gz"}
    assert [row.error for row in unusable][1:5] == [
        "no messages",
        "message 2 (assistant) has no text",
        "not a user turn that is followed by an assistant turn at the end",
        "not a user turn that is followed by an assistant turn at the end",
    ]


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    lines = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        {"instruction": "Greet.", "input": "", "output": "Hello"},
        {"instruction": "Greet.", "output": "Hi"},
        {"instruction": "Greet.", "input": "", "output": " "},
        {"instruction": "", "input": "", "output": "x"},
        {"instruction": "Count.", "input": 3, "output": "x"},
    ]
    usable, unusable = read_source(_source(), [_write(tmp_path / "a.jsonl", lines)], seed=0)
    assert usable == [_turns("Add.\n\n1 and 2", "3"), _turns("Greet.", "Hello"), _turns("Greet.", "Hi")]
    assert [(row.line, row.error) for row in unusable] == [
        (4, "empty output"),
        (5, "empty instruction"),
        (6, "instruction, input or output is not text"),
    ]


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"messages": _turns("a", "b")}] * 2), tmp_path / "p.parquet")
    assert read_source(_source(), [tmp_path / "p.parquet"], seed=0) == ([_turns("a", "b")] * 2, [])


def test_skipped_rows_and_a_seeded_choice_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [{"messages": _turns(str(n), "x")} for n in range(50)]
    file = _write(tmp_path / "m.jsonl", lines)

    def numbers(seed: int, **values: Any) -> list[int]:
        return [int(row[0]["content"]) for row in read_source(_source(**values), [file], seed)[0]]

    assert numbers(0, skip_rows=45) == [45, 46, 47, 48, 49]
    chosen = numbers(0, skip_rows=10, max_examples=20)
    assert len(chosen) == 20
    assert chosen == sorted(chosen)
    assert min(chosen) >= 10
    assert chosen == numbers(0, skip_rows=10, max_examples=20)
    assert chosen != numbers(1, skip_rows=10, max_examples=20)
    assert chosen != list(range(10, 30))


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"m\.jsonl:1: keys question, reply are no known format"):
        read_source(_source(), [_write(tmp_path / "m.jsonl", [{"question": "a", "reply": "b"}])], seed=0)


@pytest.mark.real
def test_alpaca_has_28_empty_outputs() -> None:
    import os

    root = os.environ.get("PLUMBLINE_TEST_DATA")
    if not root:
        pytest.skip("PLUMBLINE_TEST_DATA is not set")
    usable, unusable = read_source(_source(), [Path(root) / "instruct" / "alpaca_52k_en.jsonl.gz"], seed=0)
    assert len(usable) == 51_974
    assert [row.error for row in unusable] == ["empty output"] * 28
