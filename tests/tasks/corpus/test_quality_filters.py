"""Each filter drops its own example and keeps its control."""

import pytest

from configs.schema.corpus import FilterConfig
from tasks.corpus.filters import (
    FILTERS,
    Page,
    failed_filter,
    letters,
    mean_word,
    repeated_lines,
    symbols_per_word,
    top_phrase,
)

FINE = "The old mill stands by the river, and in the evening the miller walks home with his two dogs."
JUNK = {
    "too_short": "The fox and the hen.",
    "too_long": FINE * 60_000,
    "few_letters": "The sum of it is 10394.22 and 55512.1 ; 99823.4 ; 10012.5 ; 88312.6 ; 12345.9 | 55 | 66 | 77",
    "many_symbols": "The #river and the #mill and the #dogs are #fine … and so are we in the #evening of the day.",
    "short_words": "I a to be or a b c of it is an a he of us to go by it or we if so a an I am a by to of in it so",
    "long_words": "The " + " of ".join(["incomprehensibilities" * 2] * 8),
    "repeated_lines": "\n".join(["The mill is old and grey."] * 4 + [FINE, "And so it was."]),
    "repeated_phrase": "buy the best shoes here now " * 8 + "and tell all of your friends about it today",
    "few_stop_words": "river mill miller evening dogs home walks old stands river bridges winters summers horses",
}


def test_fine_text_is_kept() -> None:
    assert failed_filter(Page(FINE, "en"), FilterConfig()) is None


@pytest.mark.parametrize("name", JUNK)
def test_each_filter_drops_its_example(name: str) -> None:
    assert failed_filter(Page(JUNK[name], "en"), FilterConfig()) == name


def test_every_filter_has_an_example_and_a_setting() -> None:
    assert [test.name for test in FILTERS] == list(JUNK)
    assert {test.setting for test in FILTERS} == set(FilterConfig.model_fields)


def test_measures_by_hand() -> None:
    assert letters(Page("ab 1", "en")) == 0.75
    assert letters(Page("नमस्ते", "hi")) == 1.0  # vowel signs are marks, not symbols
    assert symbols_per_word(Page("#a … b ...", "en")) == 3 / 4
    assert mean_word(Page("ab abcd", "en")) == 3
    assert repeated_lines(Page("a\n\nb\n a \nc", "en")) == 0.25
    # 18 words, "a b c d e" three times: 15 of 18
    assert top_phrase(Page("a b c d e x a b c d e y a b c d e z", "en")) == pytest.approx(15 / 18)
    assert top_phrase(Page("a b c d e x a b c d e y", "en")) == 0
    assert top_phrase(Page("one two three four five six seven", "en")) == 0


def test_chinese_is_judged_by_characters() -> None:
    text = "春天来了，河边的老磨坊又开始转动，磨坊主人每天傍晚带着两条狗沿着小路慢慢走回家去，孩子们在桥上等他。"
    assert failed_filter(Page(text, "zh"), FilterConfig()) is None
    assert failed_filter(Page("好好学习天天向上。" * 12, "zh"), FilterConfig()) == "repeated_phrase"


def test_limits_are_inclusive() -> None:
    text = "a" * 40
    limits = FilterConfig(max_mean_word=40, min_stop_words=0)
    assert failed_filter(Page(text, "en"), limits) is None
    assert failed_filter(Page(text[:-1], "en"), limits) == "too_short"
