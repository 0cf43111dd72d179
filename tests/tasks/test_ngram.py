"""The n-gram model: figures worked by hand, probabilities that sum to one, order and documents respected."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ngram import NgramModel, windows

END = 0


def _stream(documents: list[list[int]], joined: bool) -> tuple[np.ndarray, np.ndarray]:
    """``documents`` without their end tokens, as the files hold them."""
    ids: list[int] = [END] if joined else []
    starts = []
    for document in documents:
        starts.append(len(ids) - joined)
        ids += [*document, END] if joined else [END, *document, END]
    return np.asarray(ids, dtype=np.uint32), np.asarray(starts)


def test_windows_stop_at_the_documents_beginning() -> None:
    for joined in (False, True):
        history, token = windows(*_stream([[5, 6], [], [7]], joined), 3, joined)
        assert token.tolist() == [5, 6, END, END, 7, END]
        assert history.tolist() == [[END, END], [5, END], [6, 5], [END, END], [END, END], [7, END]]


def test_a_bigram_model_worked_by_hand() -> None:
    """Documents "1 2", "1 2", "1 3" over 4 tokens, 0 ends. Bigrams: 01 x3, 12 x2, 13 x1, 20 x2, 30 x1.

    Order 2: n1 = 2, n2 = 2, D = 2/6 = 1/3. Order 1 counts what stands before: 1: {0}, 2: {1}, 3: {1}, 0: {2, 3};
    n1 = 3, n2 = 1, D = 3/5, total 5, 4 types.
    """
    model = NgramModel(*windows(*_stream([[1, 2], [1, 2], [1, 3]], True), 2, True), 4)
    assert [level.discount for level in model.levels] == [pytest.approx(3 / 5), pytest.approx(1 / 3)]
    unigram = {2: (1 - 0.6 + 0.6 * 4 / 4) / 5, 0: (2 - 0.6 + 0.6 * 4 / 4) / 5}
    after_1 = {2: (2 - 1 / 3 + 1 / 3 * 2 * unigram[2]) / 3, 0: (1 / 3 * 2 * unigram[0]) / 3}
    found = model.probabilities(np.asarray([[1], [1]]), np.asarray([2, 0]))
    assert found.tolist() == [pytest.approx(after_1[2]), pytest.approx(after_1[0])]


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(1, 5), max_size=8), min_size=1, max_size=8),
    order=st.integers(1, 4),
    joined=st.booleans(),
    history=st.lists(st.integers(0, 7), min_size=3, max_size=3),
)
def test_probabilities_sum_to_one_after_any_history(
    documents: list[list[int]], order: int, joined: bool, history: list[int]
) -> None:
    model = NgramModel(*windows(*_stream(documents, joined), order, joined), 8)
    every = np.arange(8)
    given_NK = np.asarray([history[: order - 1]] * 8).reshape(8, order - 1)
    found = model.probabilities(given_NK, every)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_a_fixed_sequence_is_learned_by_the_order_that_it_needs() -> None:
    """1 1 2 2 1 1 …: two tokens before decide, one does not."""
    text = [1, 1, 2, 2] * 500
    perplexities = []
    for order in (1, 2, 3):
        seen = windows(*_stream([text], True), order, True)
        perplexities.append(NgramModel(*seen, 10).perplexity(*seen))
    assert perplexities == [pytest.approx(2, abs=0.03), pytest.approx(2, abs=0.03), pytest.approx(1, abs=0.03)]


def test_unseen_tokens_cost_but_not_everything() -> None:
    model = NgramModel(*windows(*_stream([[1, 2, 3]], False), 3, False), 1000)
    strange = windows(*_stream([[900, 901]], False), 3, False)
    assert 1 < model.perplexity(*strange) < math.inf


def test_it_learns_a_languages_letters(stories: list[str], chat_tokenizer: Any) -> None:
    from tasks.documents import encode_documents

    encoded = encode_documents(chat_tokenizer, [{"text": text, "metadata": {}} for text in stories])
    ids = [np.asarray([token for row in part for token in row]) for part in (encoded[:-6], encoded[-6:])]
    starts = [np.cumsum([0, *map(len, part[:-1])]) for part in (encoded[:-6], encoded[-6:])]
    model = NgramModel(*windows(ids[0], starts[0], 3, False), 340)
    assert model.perplexity(*windows(ids[1], starts[1], 3, False)) < 3
