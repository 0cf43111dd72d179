"""Normal form and splitting."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.normalise import normalise, split_long

rough_text = st.text(
    alphabet=st.sampled_from(list("aé e\u0301\n\r\t \u00a0\u3000\x00\x07\x85\u2028\u200b\u200d\ufeff汉。.")),
    max_size=80,
)


def test_by_hand() -> None:
    assert normalise("\ufeff\r\n one \t\r\ntwo\x00\rthree\x0b\n\n\n\nfour \u3000\n \n") == " one\ntwo\nthree\n\nfour"
    assert normalise("cafe\u0301") == "café"
    assert normalise("tab\tstays, 👩\u200d👧 stays") == "tab\tstays, 👩\u200d👧 stays"
    assert normalise(" \t\n\x00 ") == ""


@given(rough_text)
def test_normal_form_is_stable_and_clean(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in once)
    assert "\n\n\n" not in once
    assert all(line == line.rstrip(" \t\u00a0\u3000") for line in once.split("\n"))


@given(rough_text)
def test_letters_survive_in_order(text: str) -> None:
    removed = "\x00\x07\u200b\ufeff"
    composed = unicodedata.normalize("NFC", "".join(char for char in text if char not in removed))
    assert [char for char in normalise(text) if char.isalpha()] == [char for char in composed if char.isalpha()]


def test_split_at_paragraph_ends_by_hand() -> None:
    text = "aaaa\n\nbbbb\n\ncccccccccc\n\ndd"
    assert split_long(text, 10) == ["aaaa\n\nbbbb", "cccccccccc", "dd"]
    assert split_long(text, None) == [text]
    assert split_long("One two. Three four. Five.", 12) == ["One two.", "Three four.", "Five."]
    assert split_long("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@given(st.text(alphabet="ab \n.。", max_size=200).map(normalise), st.integers(5, 60))
def test_split_loses_only_white_space_and_keeps_the_limit(text: str, size: int) -> None:
    pieces = split_long(text, size)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= size for piece in pieces) or pieces == [text]
