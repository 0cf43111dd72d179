"""Language detection: right, quick to ask, and never stopped by odd text."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.screen import LanguageConfig
from tasks.corpus.language import detect, unwanted


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The boat went down the river with the old man and his dog."),
        ("de", "Das Boot fuhr mit dem alten Mann und seinem Hund den Fluss hinab."),
        ("fr", "Le bateau descendit la rivière avec le vieil homme et son chien."),
        ("zh", "小船载着老人和他的狗顺流而下，天色渐渐暗了下来。"),
        ("ja", "小さな舟は老人と犬を乗せて、川をゆっくりと下っていった。"),
        ("ru", "Лодка со стариком и его собакой плыла вниз по реке."),
        ("he", "הסירה ירדה במורד הנהר עם הזקן והכלב שלו."),
        ("nb", "Båten drev nedover elven med den gamle mannen og hunden hans om bord, og ingen sa noe."),
    ],
)
def test_common_languages(language: str, text: str) -> None:
    found, certainty = detect(text)
    assert found == language
    assert certainty > 0.5


@pytest.mark.parametrize("text", ["", " ", "12345 67890", "\x00\x01\x9f", "\ud800\ud800", "☃☃☃", "…"])
def test_no_language_at_all_is_undetermined_or_uncertain(text: str) -> None:
    language, certainty = detect(text)
    assert unwanted(language, certainty, LanguageConfig(keep=["en"]))


def test_controls_and_surrogates_do_not_hide_the_language() -> None:
    text = "The boat went down the river with the old man\x85 and his dog.\x00 \ud83d That was all there was to see."
    assert detect(text)[0] == "en"


def test_a_long_text_is_judged_by_start_middle_and_end() -> None:
    # CLD2 passes over text that only repeats itself
    words = ("man", "woman", "farmer", "child", "miller", "sailor", "teacher", "hunter", "baker", "smith")
    english = "".join(f"The old {one} met another {two} who went down to the river. " for one in words for two in words)
    german = "Am Abend kamen die Leute aus dem Dorf zusammen und sprachen über das Wetter und die Ernte. " * 3
    assert detect(english + german)[0] == "en"


def test_keep_list_and_threshold() -> None:
    assert not unwanted("en", 0.9, LanguageConfig(keep=["en", "zh"]))
    assert unwanted("de", 0.9, LanguageConfig(keep=["en", "zh"]))
    assert unwanted("en", 0.4, LanguageConfig(keep=["en"]))
    assert not unwanted("de", 0.9, LanguageConfig())
    assert not unwanted("nb", 0.9, LanguageConfig(keep=["no"]))
    assert not unwanted("yue", 0.9, LanguageConfig(keep=["zh"]))


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    language, certainty = detect(text)
    assert 2 <= len(language) <= 12
    assert 0 <= certainty <= 1
    assert detect(text) == (language, certainty)


@pytest.mark.real
def test_gold_of_75_languages() -> None:
    path = Path(os.environ.get("PLUMBLINE_TEST_DATA") or "absent") / "gold" / "langid_75.jsonl.gz"
    if not path.exists():
        pytest.skip("PLUMBLINE_TEST_DATA has no gold/langid_75.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    right = [detect(row["text"])[0] == row["lang"] for row in rows]
    assert sum(right) / len(right) > 0.96
