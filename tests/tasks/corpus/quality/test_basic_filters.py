"""Each basic filter drops its own example and keeps its control; what they measure is what plain Python measures."""

import gzip
import json
import os

import numpy as np
import plain_filters as plain
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.corpus import FilterConfig
from tasks.corpus.quality import basic
from tasks.corpus.quality.judge import SETTINGS, judge

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
    "many_bullets": "- the mill is old and it stands\n- by the river and in the evening\n• the miller walks home",
    "few_tokens": "The old mill stands by the river, and it is old.",
    "many_tokens": FINE * 4,
}
LIMITS = {"max_bullet_lines": 0.9, "min_tokens": 12, "max_tokens": 70}
SOME = st.sampled_from("ab AZé1_.#…\n\t\u0130ßǰ\u0301我爱\u3042\u212a①२")
TEXTS = st.lists(st.text(st.one_of(SOME, st.characters(exclude_categories=("Cs",))), max_size=60), max_size=6)


def reasons(texts: list[str | None], language: str, limits: FilterConfig) -> list[str | None]:
    return judge(pa.array(texts, pa.large_string()), [language] * len(texts), limits).reasons


def plain_reason(text: str, language: str, limit: FilterConfig) -> str | None:
    unspaced, english = plain.is_unspaced(language), language == "en"
    tests = (
        ("too_short", len(text) < limit.min_characters),
        ("too_long", len(text) > limit.max_characters),
        ("few_letters", plain.letters(text) < limit.min_letters),
        ("many_symbols", plain.symbols_per_word(text, language) > limit.max_symbols_per_word),
        ("short_words", not unspaced and plain.mean_word(text) < limit.min_mean_word),
        ("long_words", not unspaced and plain.mean_word(text) > limit.max_mean_word),
        ("repeated_lines", plain.repeated_lines(text) > limit.max_repeated_lines),
        ("repeated_phrase", plain.top_phrase(text) > limit.max_top_5gram),
        ("few_stop_words", english and len(basic.STOP_WORDS & set(plain.words_of(text))) < limit.min_stop_words),
    )
    return next((name for name, drops in tests if drops), None)


def test_fine_text_is_kept() -> None:
    assert reasons([FINE], "en", FilterConfig(**LIMITS)) == [None]


@pytest.mark.parametrize("name", JUNK)
def test_each_filter_drops_its_example(name: str) -> None:
    assert reasons([FINE, JUNK[name], FINE], "en", FilterConfig(**LIMITS)) == [None, name, None]


def test_every_filter_has_an_example_and_a_setting() -> None:
    assert list(basic.SETTINGS) == list(JUNK)
    families = {"gopher_quality", "gopher_repetition", "c4", "fineweb"}
    assert {*basic.SETTINGS.values()} | families == set(FilterConfig.model_fields)
    for path in SETTINGS.values():
        config = FilterConfig.model_validate({family: {} for family in families})
        for name in path.split(".")[2:]:
            assert name in type(config).model_fields, path
            config = getattr(config, name)


@pytest.mark.parametrize(
    ("text", "language", "limits", "name"),
    [
        ("ab 1", "en", {"min_letters": 0.75}, "few_letters"),
        ("नमस्ते", "hi", {"min_letters": 1.0}, "few_letters"),  # vowel signs are marks, not symbols
        ("#a … b ...", "en", {"max_symbols_per_word": 0.75}, "many_symbols"),
        ("ab abcd", "en", {"min_mean_word": 3.0}, "short_words"),
        ("a\n\nb\n a \nc", "en", {"max_repeated_lines": 0.25}, "repeated_lines"),
        # 18 words, "a b c d e" three times: 15 of 18
        ("a b c d e x a b c d e y a b c d e z", "en", {"max_top_5gram": 15 / 18}, "repeated_phrase"),
    ],
)
def test_measures_by_hand(text: str, language: str, limits: dict[str, float], name: str) -> None:
    """A text at its limit is kept, and dropped when the limit is a little nearer."""
    off = {"min_characters": 0, "min_letters": 0, "max_symbols_per_word": 9, "min_mean_word": 0, "min_stop_words": 0,
           "max_top_5gram": 1}  # fmt: skip
    [(field, limit)] = limits.items()
    assert reasons([text], language, FilterConfig(**{**off, **limits})) == [None]
    nearer = limit - 1e-6 if field.startswith("max") else min(limit + 1e-6, 1.0) if limit < 1 else limit + 1e-6
    if field == "min_letters" and limit == 1:
        text, nearer = text + "।", 1.0
    assert reasons([text], language, FilterConfig(**{**off, field: nearer})) == [name]


def test_chinese_is_judged_by_characters() -> None:
    text = "春天来了，河边的老磨坊又开始转动，磨坊主人每天傍晚带着两条狗沿着小路慢慢走回家去，孩子们在桥上等他。"
    assert reasons([text, "好好学习天天向上。" * 12], "zh", FilterConfig()) == [None, "repeated_phrase"]


def test_limits_are_inclusive() -> None:
    limits = FilterConfig(max_mean_word=40, min_stop_words=0)
    assert reasons(["a" * 40, "a" * 39], "en", limits) == [None, "too_short"]


def test_tokens_that_were_counted_elsewhere() -> None:
    verdict = judge(pa.array([FINE, FINE]), ["en", "en"], FilterConfig(min_tokens=10), np.array([10, 9]))
    assert verdict.reasons == [None, "few_tokens"]


@settings(max_examples=150)
@given(TEXTS, st.sampled_from(["en", "de", "zh"]))
def test_decisions_are_those_of_plain_python(texts: list[str], language: str) -> None:
    limits = FilterConfig(min_characters=2, min_letters=0.5, min_mean_word=1.5, max_mean_word=6, max_top_5gram=0.2,
                          min_stop_words=0, max_symbols_per_word=0.2)  # fmt: skip
    assert reasons(list(texts), language, limits) == [plain_reason(text, language, limits) for text in texts]


@pytest.mark.real
@pytest.mark.parametrize(("name", "language"), [("web/c4_demo", "en"), ("pretrain/laws_zh", "zh")])
def test_decisions_on_real_text_are_those_of_plain_python(name: str, language: str) -> None:
    root = os.environ.get("PLUMBLINE_TEST_DATA")
    if root is None:
        pytest.skip("PLUMBLINE_TEST_DATA is not set")
    with gzip.open(f"{root}/{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:20_000] for _, line in zip(range(200), lines, strict=False)]
    limits = FilterConfig()
    assert reasons(texts, language, limits) == [plain_reason(text, language, limits) for text in texts]
