"""Wrongly decoded text is repaired, and nothing else is touched."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.mojibake import repair, repair_values


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("cafÃ© au lait", "café au lait"), ("Itâ€™s here\nplain", "It’s here\nplain"), ("ä¸­æ–‡", "中文")],
)
def test_by_hand(wrong: str, right: str) -> None:
    assert repair(wrong) == right


@pytest.mark.parametrize(
    "text",
    [
        "“quotes”, ‘more’ — and … dots",
        "ﬁne ligatures",
        "ｆｕｌｌ　ｗｉｄｔｈ",
        "&amp; &lt;b&gt;",
        "cafe\u0301",
        "a\r\nb\x0cc",
        "中文，。",
    ],
)
def test_clean_text_keeps_its_punctuation(text: str) -> None:
    assert repair(text) == text


def test_every_string_of_a_row() -> None:
    row: dict[str, Any] = {"text": "cafÃ©", "n": 1, "messages": [{"role": "user", "content": "Ã©tÃ©"}], "none": None}
    assert repair_values(row) == {
        "text": "café", "n": 1, "messages": [{"role": "user", "content": "été"}], "none": None
    }  # fmt: skip


@given(st.text(max_size=200) | st.text(alphabet="Ã©â€™\x80\x99\ud83d\n\x00é中 a", max_size=80))
def test_any_text_is_answered_with_as_many_lines(text: str) -> None:
    assert repair(text).count("\n") == text.count("\n")


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_ascii_is_never_changed(text: str) -> None:
    assert repair(text) == text


@pytest.mark.real
@pytest.mark.parametrize("name", ["ftfy_in-the-wild", "ftfy_negative"])
def test_gold_cases(name: str) -> None:
    path = Path(os.environ.get("PLUMBLINE_TEST_DATA") or "absent") / "gold" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"PLUMBLINE_TEST_DATA has no gold/{name}.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    wrong = [row["label"] for row in rows if repair(row["original"]) != row.get("fixed-encoding", row["fixed"])]
    assert wrong == []
