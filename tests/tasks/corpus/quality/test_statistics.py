"""The kernels count what plain Python counts, whatever the text, and whatever other texts stand in the batch."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_filters import c4_lines, fineweb, repeated_run, repetition, symbols, top_run

from configs.schema.quality import FilterConfig
from tasks.corpus.quality import lines_kernel, repeats_kernel
from tasks.corpus.quality.batch import Batch, Utf8, encoded
from tasks.corpus.quality.characters import characters
from tasks.corpus.quality.english import split_english, word_hash
from tasks.corpus.quality.folded import split_folded
from tasks.corpus.quality.judge import judge
from tasks.corpus.words import words_of

SOME = st.sampled_from("ab.-•#…\n\r\t\x0b\x1c\x85\u2028 !,'s我。\u3000ßİ[1]{é")
TEXT = st.text(st.one_of(SOME, SOME, st.characters(exclude_categories=("Cs",))), max_size=60)
TEXTS = st.lists(TEXT, min_size=1, max_size=6)
FAMILIES = {
    "gopher_quality": {"min_doc_words": 2},
    "gopher_repetition": {},
    "c4": {"min_num_sentences": 1},
    "fineweb": {},
}
LINES = st.lists(
    st.sampled_from(["The mill is old.", "It is [2] here.", "no end", "a {b} c.", "So on...", "We use cookies now.",
                     "JavaScript is on.", "lorem ipsum is it.", "", "  it is so!  ", "[1] [2] [edit]'", "是 的 吗?"]),
    max_size=6)  # fmt: skip


def batch_of(texts: list[str]) -> Batch:
    utf8 = Utf8.of(pa.array(texts, pa.large_string()))
    return utf8.decoded(utf8.characters(), np.ones(len(texts), dtype=bool))


@given(TEXTS)
def test_code_points_there_and_back(texts: list[str]) -> None:
    batch = batch_of(texts)
    assert batch.lengths().tolist() == [len(text) for text in texts]
    assert encoded(batch).to_pylist() == texts


@given(TEXTS)
def test_lines_and_symbols(texts: list[str]) -> None:
    batch, flags = batch_of(texts), characters().flags
    out = np.zeros((len(texts), 6), dtype=np.int64)
    lines_kernel.repetition(batch.codes, batch.starts, flags, out)
    assert out.tolist() == [repetition(text) for text in texts]
    five = np.zeros((len(texts), 5), dtype=np.int64)
    lines_kernel.symbols(batch.codes, batch.starts, flags, five)
    assert five.tolist() == [symbols(text) for text in texts]
    stops = np.array(sorted(map(ord, ".!。")), dtype=np.uint32)
    lines_kernel.fineweb(batch.codes, batch.starts, flags, stops, 3, five)
    assert five.tolist() == [fineweb(text, ".!。", 3) for text in texts]


@given(TEXTS)
def test_folded_words(texts: list[str]) -> None:
    batch = batch_of(texts)
    words = split_folded(batch.codes, batch.starts)
    for number, text in enumerate(texts):
        found = words.hashes[words.bounds[number] : words.bounds[number + 1]].tolist()
        assert found == [word_hash(word) for word in words_of(text)]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ab", "é", "aa", "我"]), max_size=40), min_size=1, max_size=4))
def test_runs_of_words(texts: list[list[str]]) -> None:
    batch = batch_of([" ".join(words) for words in texts])
    words = split_english(batch.codes, batch.starts)
    assert np.diff(words.bounds).tolist() == [len(one) for one in texts]
    wanted, top = np.ones(len(texts), dtype=bool), np.zeros(len(texts), dtype=np.int64)
    for size in (2, 3):
        repeats_kernel.top_runs(words.hashes, words.lengths, words.bounds, wanted, size, 1, top)
        assert top.tolist() == [top_run(one, size) for one in texts]
    sizes = np.array([2, 5, 6], dtype=np.int64)
    repeated = np.zeros((3, len(texts)), dtype=np.int64)
    repeats_kernel.repeated_runs(words.hashes, words.lengths, words.bounds, wanted, sizes, repeated)
    assert repeated.tolist() == [[repeated_run(one, size) for one in texts] for size in sizes.tolist()]


@given(st.lists(LINES.map("\n".join), min_size=1, max_size=4))
def test_c4_lines(texts: list[str]) -> None:
    config = FilterConfig(min_characters=0, min_letters=0, max_symbols_per_word=9, min_mean_word=0, min_stop_words=0,
                          max_repeated_lines=1, max_top_5gram=1, c4={"min_num_sentences": -1})  # fmt: skip
    verdict = judge(pa.array(texts, pa.large_string()), ["en"] * len(texts), config)
    expected = [c4_lines(text) for text in texts]
    assert [reason is None for reason in verdict.reasons] == [text is not None for text in expected]
    assert [
        text for text, reason in zip(verdict.texts.to_pylist(), verdict.reasons, strict=True) if reason is None
    ] == [text for text in expected if text is not None]


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXT, st.sampled_from(["en", "zh", "de"])), min_size=1, max_size=8), st.integers(0, 8))
def test_the_batch_does_not_matter(rows: list[tuple[str, str]], cut: int) -> None:
    config = FilterConfig.model_validate({"min_characters": 1, "min_letters": 0, "min_stop_words": 0, **FAMILIES})
    texts, languages = pa.array([row[0] for row in rows], pa.large_string()), [row[1] for row in rows]
    whole = judge(texts, languages, config)
    parts = [judge(texts[:cut], languages[:cut], config), judge(texts[cut:], languages[cut:], config)]
    assert whole.reasons == [reason for part in parts for reason in part.reasons]
    assert whole.texts.to_pylist() == [text for part in parts for text in part.texts.to_pylist()]
