"""Each known split gives the same pieces in both engines, for every code point there is."""

import json
from typing import Any

import pytest
import tiktoken
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

from tasks.tokens.byte_pairs import byte_characters
from tasks.tokens.splits import known_pattern, split_pattern

SPLITS: dict[str, Any] = {
    "gpt2": ByteLevel(add_prefix_space=False),
    **{
        name: Sequence(
            [Split(Regex(split_pattern(name)), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]  # type: ignore[arg-type]
        )
        for name in ("three", "individual", "any")
    },
}
NEIGHBOURS = "a{0}1! {0}a'{0}!\n{0}\n!{0}1{0} {0} !12{0}  {0}{0}s\r{0}'S{0} 1  2{0}  \u4e00"
FEWER = "a{0}1! {0}a'{0}\n{0} "  # enough to tell letter, number, blank, other; for the many code points above 0xFFFF


def _telling_vocabulary() -> tuple[dict[bytes, int], list[tuple[str, str]]]:
    """Tokens that join a byte of a wide character with its neighbours: the ids then tell where pieces end."""
    shown = {byte: character for character, byte in byte_characters().items()}
    tokens, merges = [bytes([byte]) for byte in range(256)], []
    joins = [(left, wide) for left in b"a 1'!\r\n" for wide in range(128, 256)]
    joins += [(wide, right) for right in b"a1!sS\n" for wide in range(128, 256)]
    joins += [(32, 32), (49, 50), (10, 10), (32, 49)]
    for left, right in joins:
        tokens.append(bytes([left, right]))
        merges.append((shown[left], shown[right]))
    return {token: number for number, token in enumerate(tokens)}, merges


def _engines(split: Any) -> tuple[Tokenizer, tiktoken.Encoding]:
    ranks, merges = _telling_vocabulary()
    shown = {byte: character for character, byte in byte_characters().items()}
    vocabulary = {"".join(shown[byte] for byte in token): number for token, number in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = split
    pattern = known_pattern(json.loads(tokenizer.to_str())["pre_tokenizer"])
    assert pattern is not None
    return tokenizer, tiktoken.Encoding("telling", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def _differing(name: str, codes: list[int]) -> list[int]:
    tokenizer, encoding = _engines(SPLITS[name])
    found: list[int] = []
    for begin in range(0, len(codes), 500):
        texts = [(NEIGHBOURS if code < 0x10000 else FEWER).format(chr(code)) for code in codes[begin : begin + 500]]
        for code, text, encoded in zip(codes[begin:], texts, tokenizer.encode_batch_fast(texts), strict=False):
            if encoding.encode_ordinary(text) != encoded.ids:
                found.append(code)
    return found


@pytest.mark.parametrize("name", SPLITS)
def test_latin_blanks_digits_and_marks(name: str) -> None:
    blocks = [(0, 0x600), (0x660, 0x670), (0x1FF0, 0x2190), (0x2C60, 0x2C80), (0x3000, 0x3040), (0xFB00, 0xFB10)]
    assert _differing(name, [code for low, high in blocks for code in range(low, high)]) == []


def test_the_vocabulary_tells_a_wrong_split() -> None:
    tokenizer, _ = _engines(SPLITS["gpt2"])
    _, other = _engines(SPLITS["three"])
    text = NEIGHBOURS.format("\u0661")
    assert tokenizer.encode(text).ids != other.encode_ordinary(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPLITS)
def test_every_code_point(name: str) -> None:
    assert _differing(name, [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]) == []


def test_an_unknown_split_is_none() -> None:
    assert known_pattern(None) is None
    digits = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    for split in (
        digits,
        pre_tokenizers.Whitespace(),
        Split(Regex(r"\s+"), "isolated"),
        ByteLevel(add_prefix_space=True),
    ):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = split
        assert known_pattern(json.loads(tokenizer.to_str())["pre_tokenizer"]) is None
