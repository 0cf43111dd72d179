"""Words and sentences are those of spaCy's blank English pipeline: what it gave for these texts is written down."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.corpus.quality.batch import Utf8
from tasks.corpus.quality.english import split_english, word_hash

# Text, words between bars, sentences: spaCy 3.8, nlp = spacy.blank("en") with the sentencizer, blank words left out
CASES = (
    (
        "Hello, world! I can't (see e.g. the U.S. dollar, $5.00) stop.",
        "Hello|,|world|!|I|ca|n't|(|see|e.g.|the|U.S.|dollar|,|$|5.00|)|stop|.",
        2,
    ),
    (
        "He said: “don’t”… and she’s gone--again.",
        "He|said|:|“|do|n’t|”|…|and|she|’s|gone|--|again|.",
        1,
    ),
    (
        "cannot gonna y'all we've He'll o'clock Ill. ill",
        "can|not|gon|na|y'|all|we|'ve|He|'ll|o'clock|Ill.|ill",
        1,
    ),
    (
        "10km 5% 3.5kg US$20 20$ 7+ 2+2 9-5 4*3 1,000 10,20",
        "10|km|5|%|3.5|kg|US$|20|20|$|7|+|2|+|2|9|-|5|4|*|3|1,000|10,20",
        1,
    ),
    (
        "see http://foo.com/a-b?x=1,y or www.bar.org:8080/p, me@mail.com. a.b.C",
        "see|http://foo.com/a-b?x=1,y|or|www.bar.org:8080/p|,|me@mail.com|.|a.b|.|C",
        3,
    ),
    (
        "well-known state-of-the-art re-do -- --- a--b a—b x~y",
        "well|-|known|state|-|of|-|the|-|art|re|-|do|--|---|a|--|b|a|—|b|x|~|y",
        1,
    ),
    (
        "(foo): (8) :) :-( ;) =) ...):",
        "(|foo|):|(|8)|:)|:-(|;)|=)|...|):",
        1,
    ),
    (
        "end.End lower.Upper 3.End a,b 1:a key=value and/or either/or",
        "end|.|End|lower|.|Upper|3.End|a|,|b|1|:|a|key|=|value|and/or|either|/|or",
        3,
    ),
    (
        "A.B. i.e. (i.e.) U.K.-based Dr. Smith's Jones' 'quoted' ``tex''",
        "A.B.|i.e.|(|i.e.|)|U.K.-based|Dr.|Smith|'s|Jones|'|'|quoted|'|`|`|tex|''",
        1,
    ),
    (
        "日本語 中文，文字。 naïve café 😀😀 →x← • - * #tag @user C++ c.",
        "日本語|中文，文字|。|naïve|café|😀|😀|→x←|•|-|*|#|tag|@user|C++|c.",
        2,
    ),
    (
        "  double  spaces\tand\nlines\n\n. Next. 'em",
        "double|spaces|and|lines|.|Next|.|'em",
        3,
    ),
    (
        "°C. 25°C. ... .... a... ...b wait…what",
        "°|C|.|25|°|C|.|...|....|a|...|...|b|wait|…|what",
        3,
    ),
    (
        "x\u00a0y\u3000z \u200b zero",
        "x|y|z|\u200b|zero",
        1,
    ),
    (
        "<b>bold</b> {x} [1] a_b __init__ _x_",
        "<|b|>|bold</b|>|{|x|}|[|1|]|a_b|_|_|init|_|_|_|x|_",
        1,
    ),
    (
        "'s 'S it's It’s IT'S s' n't don't/won't",
        "'s|'S|it|'s|It|’s|IT|'S|s|'|n't|don't|/|won't",
        1,
    ),
    (
        "http://127.0.0.1/x-y a@b.co-x",
        "http://127.0.0.1|/|x|-|y|a@b.co|-|x",
        1,
    ),
)


@pytest.mark.parametrize(("text", "words", "sentences"), CASES)
def test_words_and_sentences_are_spacys(text: str, words: str, sentences: int) -> None:
    utf8 = Utf8.of(pa.array([text, text], pa.large_string()))
    batch = utf8.decoded(utf8.characters(), np.array([True, True]))
    split = split_english(batch.codes, batch.starts)
    expected = words.split("|")
    assert split.lengths[: split.bounds[1]].tolist() == [len(word) for word in expected]
    assert split.hashes[split.bounds[1] :].tolist() == [word_hash(word) for word in expected]
    assert split.sentences.tolist() == [sentences, sentences]
