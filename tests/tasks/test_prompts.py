"""Prompts from JSON lines, plain or zipped, own or Alpaca rows."""

import gzip
import json
from pathlib import Path

import pytest

from configs.schema.sources import PromptSource
from tasks.failures import BadData
from tasks.prompts import read_prompts


def lines(path: Path, *rows: dict[str, str]) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_field_alpaca_and_order_of_files(tmp_path: Path) -> None:
    first = lines(tmp_path / "b.jsonl", {"q": "one"}, {"instruction": "Add.", "input": "1 2", "output": "3"})
    second = lines(tmp_path / "a.jsonl.gz", {"instruction": "Sing.", "input": ""})
    found = read_prompts(PromptSource(path="p", field="q"), [first, second])
    assert found == ["one", "Add.\n\n1 2", "Sing."]


def test_max_prompts_takes_the_first_and_reads_no_further(tmp_path: Path) -> None:
    file = lines(tmp_path / "p.jsonl", {"prompt": "a"}, {"prompt": "b"}, {"other": "c"})
    assert read_prompts(PromptSource(path="p", max_prompts=2), [file]) == ["a", "b"]


def test_the_first_rows_are_left_out(tmp_path: Path) -> None:
    files = [lines(tmp_path / f"{name}.jsonl", {"prompt": name}, {"prompt": name * 2}) for name in "ab"]
    assert read_prompts(PromptSource(path="p", skip_rows=1), files) == ["aa", "b", "bb"]
    assert read_prompts(PromptSource(path="p", skip_rows=1, max_prompts=2), files) == ["aa", "b"]


def test_bad_rows_are_named_by_file_and_line(tmp_path: Path) -> None:
    file = lines(tmp_path / "p.jsonl", {"prompt": "a"}, {"text": "b"})
    with pytest.raises(BadData, match=r"p\.jsonl:2: no text under 'prompt' \(keys: text\); set `field`"):
        read_prompts(PromptSource(path="p"), [file])
    file.write_text('{"prompt": "a"}\n{"prompt"\n')
    with pytest.raises(BadData, match=r"p\.jsonl:2: invalid JSON"):
        read_prompts(PromptSource(path="p"), [file])
    file.write_text("\n")
    with pytest.raises(BadData, match="no prompts"):
        read_prompts(PromptSource(path="p"), [file])
