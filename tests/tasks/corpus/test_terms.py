"""Word lists: whole words in spaced scripts, any place in Chinese, longest first."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.terms import TermList, fold, read_terms
from tasks.failures import BadData

TERMS = TermList("rude", ["ass", "bad apple", "apple", "笨蛋", "13点", "straße"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("An ass, a class, an assembly.", ["ass"]),
        ("ASS!", ["ASS"]),
        ("a Bad Apple here", ["Bad Apple"]),
        ("bad apples", []),
        ("你这个笨蛋真是13点", ["笨蛋", "13点"]),
        ("213点", []),
        ("他说ass。", ["ass"]),
        ("İİ ass", ["ass"]),
        ("die Straße", ["Straße"]),
        ("ass_ass ass-ass", ["ass", "ass"]),
        ("", []),
    ],
)
def test_by_hand(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end, _ in TERMS.find(text)] == found


@given(st.text(alphabet="as bdple笨蛋İ.", max_size=60))
def test_spans_are_in_order_without_overlap_and_spell_terms(text: str) -> None:
    last = 0
    for start, end, name in TERMS.find(text):
        assert start >= last
        assert fold(text[start:end]) in {"ass", "bad apple", "apple", "笨蛋", "13点", "straße"}
        assert name == "rude"
        last = end


@given(st.text(max_size=40))
def test_folding_keeps_places(text: str) -> None:
    assert len(fold(text)) == len(text)


def test_a_file_of_terms(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_bytes("\ufeff# a comment\r\nBad   Apple\n\n  笨蛋 \nbad apple\n".encode())
    terms = read_terms("rude", path)
    assert terms.size == 2
    assert [text for text in ("bad apple", "笨蛋", "a comment") if terms.find(text)] == ["bad apple", "笨蛋"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "cannot be read as UTF-8"),
        (b"# only\n\n", "holds no term"),
        (b"x" * 500, "terms.txt:1 has 500 characters, the limit is 200"),
    ],
)
def test_a_file_that_is_no_word_list(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "terms.txt"
    path.write_bytes(content)
    with pytest.raises(BadData, match=said):
        read_terms("rude", path)
