"""Words and shingles."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus.words import WORD, is_unspaced, shingle_hashes, words_of


def test_words_by_hand() -> None:
    assert words_of("The fox's Straße, 3.5_km!") == ["the", "fox", "s", "strasse", "3", "5", "km"]
    assert words_of("我爱GPU训练") == ["我", "爱", "gpu", "训", "练"]
    assert is_unspaced("zh-Hans")
    assert not is_unspaced("en-GB")


@given(st.text(max_size=60))
def test_quick_paths_find_what_the_pattern_finds(text: str) -> None:
    assert words_of(text) == WORD.findall(text.casefold())


def test_short_text_is_one_shingle_and_order_counts() -> None:
    assert len(shingle_hashes(["a", "b"], 5)) == 1
    assert len(shingle_hashes([], 5)) == 0
    assert shingle_hashes(["a", "b"], 5)[0] != shingle_hashes(["b", "a"], 5)[0]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 6))
def test_hashes_are_equal_just_where_word_runs_are(words: list[str], size: int) -> None:
    width = min(size, len(words))
    runs = [tuple(words[start : start + width]) for start in range(len(words) - width + 1)]
    hashes = shingle_hashes(words, size).tolist()
    assert len(set(zip(runs, hashes, strict=True))) == len(set(runs)) == len(set(hashes))
