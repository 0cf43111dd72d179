"""The compiled and the portable path give the same numbers, and both see the words that a plain reading sees."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.corpus.neardup import kernel, portable
from tasks.corpus.neardup.scheme import Scheme
from tasks.corpus.neardup.texts import from_strings, gathered, sets_of, sign

SCHEME = Scheme(shingle=3, bands=4, rows=2)
LETTERS = st.characters(exclude_categories=("Cs",))
MIXED = st.sampled_from("ab AZé1_.\0\n\u0301\u0e01\u0e48\u3042ｱＡ我爱\u200d\U00020000\U0001f600\U000e0041\u0915\u093f")
TEXTS = st.lists(st.text(st.one_of(MIXED, LETTERS), max_size=40), max_size=8)


def plain_words(text: str) -> list[str]:
    """Words read character by character with unicodedata, as the docstring of `characters` says."""
    words, run = [], ""
    for character in text:
        kind = unicodedata.category(character)[0]
        folded = unicodedata.normalize("NFKC", character)
        folded = folded if len(folded) == 1 else character
        alone = kind in "LNM" and any(
            low <= ord(each) <= high
            for each in (character, folded)
            for low, high in ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF),
                              (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
        )  # fmt: skip
        if ord(character) >= 0x20000:
            alone, kind = ord(character) < 0x40000, "S"
        if not alone and (kind in "LN" or (kind == "M" and run)):
            run += _lower(folded) if kind in "LN" else character
            continue
        words += [run] if run else []
        run = ""
        if alone:
            words.append(_lower(folded) if kind in "LN" else character)
    return words + ([run] if run else [])


def _lower(character: str) -> str:
    return next((each for each in (character.casefold(), character.lower(), character) if len(each) == 1), character)


def numbers(path, texts: pa.Array, scheme: Scheme = SCHEME):  # type: ignore[no-untyped-def]
    signed = sign(texts, scheme, path)
    sets = sets_of(texts, signed.counts, scheme, path)
    return signed.keys, signed.counts, sets.flat, sets.sizes


@given(TEXTS)
@example([])
@example(["", "one", "one two", "one two three", "a\0b", "\u0301a", "x" * 9000, "é " * 5000, "我" * 5000])
@settings(max_examples=150)
def test_both_paths_give_the_same_numbers(texts: list[str]) -> None:
    one, other = (numbers(path, from_strings(texts)) for path in (kernel, portable))
    assert all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


@given(st.text(st.one_of(MIXED, LETTERS), max_size=60))
@example("Straße ＡＢＣ ﾊﾝｶｸ 我爱GPU_x\u0301 \u0301a हिन्दी ١٢٣ ½ İ")
@settings(max_examples=300)
def test_words_are_those_of_a_plain_reading(text: str) -> None:
    words = plain_words(text)
    hashes, ends = portable.words(*_bytes(text))
    assert len(hashes) == ends[0] == len(words)
    again, _ = portable.words(*_bytes(" ".join(words)))
    assert np.array_equal(hashes, again)
    assert len(set(hashes.tolist())) == len(set(words))


def _bytes(text: str):  # type: ignore[no-untyped-def]
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    return data, np.array([0, len(data)])


def test_shingles_counted_by_hand() -> None:
    signed = sign(from_strings(["", "a", "a b", "a b c", "a b c d", "a b c a b c", "我爱你GPU"]), SCHEME, portable)
    assert signed.counts.tolist() == [0, 1, 1, 1, 2, 4, 2]
    sets = sets_of(from_strings(["a b c a b c"]), np.array([4]), SCHEME, portable)
    assert sets.sizes.tolist() == [3]  # abc, bca, cab


@given(TEXTS, st.data())
def test_any_arrow_string_type_slice_and_null_is_read(texts: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts)))
    plain = sign(from_strings(texts[start:]), SCHEME, portable)
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        array = pa.array([None if text == "" else text for text in texts], kind)[start:]
        assert np.array_equal(sign(array, SCHEME, portable).keys, plain.keys)
    places = np.arange(len(texts))[start::2]
    assert gathered(from_strings(texts), places).to_pylist() == texts[start::2]


@given(st.lists(st.lists(st.integers(0, 40), max_size=20), min_size=2, max_size=6), st.integers(0, 50))
def test_similarity_of_both_paths_against_sets(rows: list[list[int]], limit: int) -> None:
    sets = [np.unique(np.array(row, dtype=np.uint32)) for row in rows]
    sizes = np.array([len(row) for row in sets])
    limits = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    limits[0] = limit
    left, right = np.array([0] * (len(rows) - 1)), np.arange(1, len(rows))
    for path in (kernel, portable):
        out = np.empty(len(left))
        path.similarity(np.concatenate(sets), np.cumsum(sizes) - sizes, sizes, limits, left, right, out)
        for value, row in zip(out, sets[1:], strict=True):
            one, other = ({int(item) for item in items if item <= limit} for items in (sets[0], row))
            assert value == (len(one & other) / len(one | other) if one | other else 0)


def test_kernel_runs_where_no_folder_can_hold_its_cache() -> None:
    code = "from tasks.corpus.neardup import kernel; print(kernel._finish(kernel.np.uint64(1)))"
    env = {**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": ""}
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 6238072747940578789


def test_portable_path_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.corpus.neardup import texts

    monkeypatch.setitem(sys.modules, texts.COMPILED, None)
    monkeypatch.delattr("tasks.corpus.neardup.kernel")
    assert texts.path_for(1 << 40) is portable
