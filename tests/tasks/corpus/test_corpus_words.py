"""Words, and how many."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.neardup.texts import from_strings
from tasks.corpus.words import WORD, count_words, is_unspaced, words_of


def test_words_by_hand() -> None:
    assert words_of("The fox's Straße, 3.5_km!") == ["the", "fox", "s", "strasse", "3", "5", "km"]
    assert words_of("我爱GPU训练") == ["我", "爱", "gpu", "训", "练"]
    assert is_unspaced("zh-Hans")
    assert not is_unspaced("en-GB")


@given(st.text(max_size=60))
def test_quick_paths_find_what_the_pattern_finds(text: str) -> None:
    assert words_of(text) == WORD.findall(text.casefold())


def test_counts_are_those_of_the_words() -> None:
    texts = ["The fox's Straße, 3.5_km!", "我爱GPU训练", "", "один два", "ไทย 1", "a\u00a0b 中-文"]
    assert count_words(from_strings(texts)).tolist() == [len(words_of(text)) for text in texts]
