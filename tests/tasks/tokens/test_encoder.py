"""Two engines, one set of ids: tiktoken is used where it is equal and left where it is not."""

import gzip
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from configs.schema.tokenizer import TokenizerConfig
from tasks.chat import SPECIAL_TOKENS
from tasks.tokenizer import train_bpe
from tasks.tokens.encoder import PROBES, Encoder
from tasks.tokens.splits import Digits

TEXT = (
    "The old mill's 12 dogs ran 1,234,567 miles; she'd've known. 老磨坊在河边，１２３只狗。 \n\n\tif (x != 3.14)  {\r\n"
)
MARKERS = [*SPECIAL_TOKENS, "<|tool|>"]
ODD = st.text(alphabet="aZ'sſ 12½٣\n\r\t\u00a0\u3000\u200d\u0301老。!<|im_end|>\U0001f469\x00\u0085")


def trained(digits: Digits = "three") -> Tokenizer:
    corpus = (f"{TEXT}{n * 7919} {TEXT[n % 40 :]}" for n in range(60))
    return train_bpe(corpus, TokenizerConfig(vocabulary=700, digits=digits), MARKERS)


@pytest.fixture(scope="module", params=["three", "individual", "any"])
def pair(request: pytest.FixtureRequest) -> tuple[Encoder, Encoder]:
    tokenizer = trained(request.param)
    return Encoder(tokenizer, [TEXT]), Encoder(tokenizer, compiled=False)


def _same(one: Encoder, other: Encoder, texts: list[str]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.encode(texts), other.encode(texts), strict=True))


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.one_of(st.text(), ODD), max_size=4))
def test_a_tokenizer_of_ours_gives_the_same_ids_both_ways(pair: tuple[Encoder, Encoder], texts: list[str]) -> None:
    assert (pair[0].reason, pair[1].reason) == (None, "asked to")
    assert _same(*pair, texts)


def test_special_tokens_in_a_text_are_text(pair: tuple[Encoder, Encoder]) -> None:
    for encoder in pair:
        ids = encoder.encode([f"a {marker} b" for marker in MARKERS])
        assert all(row.dtype == np.uint32 and row.min() >= len(MARKERS) for row in ids)


def test_a_run_of_blanks_that_tiktoken_gives_up_on() -> None:
    pair = Encoder(trained()), Encoder(trained(), compiled=False)
    with pytest.raises(ValueError, match="stack size"):
        pair[0]._fast(" " * 1_000_000 + "x")  # type: ignore[misc]
    assert _same(*pair, [" " * 1_000_000 + "x", "a" * 200_000, "\n" * 200_000])


def _changed(**parts: Any) -> Tokenizer:
    content = json.loads(trained().to_str())
    for name, value in parts.items():
        target = content["model"] if name in content["model"] else content
        target[name] = value
    return Tokenizer.from_str(json.dumps(content))


def _swapped_ids() -> Tokenizer:
    """Two merged tokens change their ids: the list of merges no longer rises."""
    vocabulary = json.loads(trained().to_str())["model"]["vocab"]
    by_id = sorted(vocabulary, key=vocabulary.get)
    first, last = by_id[300], by_id[-1]
    vocabulary[first], vocabulary[last] = vocabulary[last], vocabulary[first]
    return _changed(vocab=vocabulary)


def _lost_merge() -> Tokenizer:
    """A token whose parts can no longer be made."""
    merges = json.loads(trained().to_str())["model"]["merges"]
    longer = next(n for n, (left, right) in enumerate(merges) if len(left) > 1 and len(right) > 1)
    lost = next(n for n, (left, right) in enumerate(merges) if left + right == merges[longer][0])
    return _changed(merges=[merge for number, merge in enumerate(merges) if number != lost])


def _other_way() -> Tokenizer:
    """The merge to "bc" comes first, so nothing leads to "abc" by way of "ab"."""
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*characters, "bc", "ab", "abc"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("b", "c"), ("a", "b"), ("ab", "c")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _plain_added() -> Tokenizer:
    tokenizer = trained()
    tokenizer.add_tokens(["mill's 12"])
    return tokenizer


def _no_byte() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _prefix_space() -> Tokenizer:
    tokenizer = trained()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: _changed(normalizer={"type": "Lowercase"}), "normalises text (Lowercase)"),
        (lambda: _changed(dropout=0.1), "dropout=0.1"),
        (lambda: _changed(pre_tokenizer={"type": "Whitespace"}), "not one of those that were compared"),
        (lambda: _changed(pre_tokenizer=None), "not one of those that were compared"),
        (lambda: _changed(ignore_merges=True), "whole words from the vocabulary"),
        (_prefix_space, "not one of those that were compared"),
        (_plain_added, '1 added tokens are found in plain text, first "mill\'s 12"'),
        (_swapped_ids, "does not follow the order of the merges"),
        (_lost_merge, "stands before those that it needs"),
        (_other_way, "the merges do not lead to the token"),
        (_no_byte, "254 of the 256 bytes have no token"),
    ],
)
def test_what_tiktoken_has_no_equal_of_is_left_to_tokenizers(make: Any, reason: str) -> None:
    tokenizer = make()
    encoder = Encoder(tokenizer)
    assert reason in str(encoder.reason)
    if "dropout" not in reason:  # which draws at random
        tokenizer.encode_special_tokens = True
        for text, ids in zip([TEXT, *PROBES], encoder.encode([TEXT, *PROBES]), strict=True):
            assert ids.tolist() == tokenizer.encode(text, add_special_tokens=False).ids


def test_other_ids_on_a_sample_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence, shown with a split that is wrong on purpose."""
    monkeypatch.setattr("tasks.tokens.byte_pairs.known_pattern", lambda _: r"\p{L}+|[^\p{L}]")
    encoder = Encoder(trained(), [TEXT])
    assert "the ids of tiktoken differ on" in str(encoder.reason)
    assert _same(encoder, Encoder(trained(), compiled=False), [TEXT])


def test_the_shared_tokenizer_is_not_changed() -> None:
    tokenizer = trained()
    tokenizer.enable_truncation(3)
    assert len(Encoder(tokenizer).encode([TEXT])[0]) > 3
    assert tokenizer.encode_special_tokens is False
    assert tokenizer.truncation["max_length"] == 3


@pytest.mark.real
def test_real_texts_with_gpt2s_vocabulary() -> None:
    data = Path(os.environ.get("PLUMBLINE_TEST_DATA") or "absent")
    if not (data / "models" / "gpt2_tok").is_dir():
        pytest.skip("PLUMBLINE_TEST_DATA has no models/gpt2_tok")
    model = models.BPE.from_file(*(str(data / "models/gpt2_tok" / file) for file in ("vocab.json", "merges.txt")))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    documents: list[str] = []
    for name in ("classic_books_en", "laws_zh", "zhwiki_paragraphs", "peps"):
        with gzip.open(data / "pretrain" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            documents += [json.loads(line)["text"][:30_000] for line in islice(lines, 8)]
    encoder = Encoder(tokenizer)
    assert encoder.reason is None
    assert _same(encoder, Encoder(tokenizer, compiled=False), documents)
