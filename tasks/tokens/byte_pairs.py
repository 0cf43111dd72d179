"""A byte-level BPE of tokenizer.json as a tiktoken encoding, four times as fast, when both give the same ids.

tiktoken joins the pair whose joined bytes have the lowest id, ``tokenizers`` the pair that stands first in the list of
merges. The two agree on every text when (1) the ids of merged tokens rise with the list, (2) each merged token is made
by one merge, (3) each of them, given as text, is encoded as itself: where left and right neighbours could be joined
to a token by another way than its own merge, that token's own bytes would have stopped at that way too. All
three are checked, not assumed; and pieces are cut alike for the expressions in splits.py.
"""

import json
from typing import Any

import tiktoken
import tokenizers

from tasks.tokens.splits import known_pattern


class NotCovered(Exception):
    """Why a tokenizer has to be run by ``tokenizers`` itself."""


def tiktoken_encoding(tokenizer: tokenizers.Tokenizer) -> tiktoken.Encoding:
    """The same tokenizer in tiktoken, without special tokens. Raises NotCovered with the reason."""
    content = json.loads(tokenizer.to_str())
    pattern = known_pattern(content["pre_tokenizer"])
    _expect(content, pattern)
    ranks = _ranks(content["model"])
    _expect_own_ids(tokenizer, content["model"], ranks)
    return tiktoken.Encoding("corpus", pat_str=str(pattern), mergeable_ranks=ranks, special_tokens={})


def byte_characters() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (Radford et al. 2019, encoder.py)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    shown = {chr(byte): byte for byte in printable}
    return shown | {chr(256 + number): byte for number, byte in enumerate(others)}


def _expect(content: dict[str, Any], pattern: str | None) -> None:
    """Every feature of tokenizer.json that tiktoken has no equal of is refused by name."""
    model = content["model"]
    if model.get("type") != "BPE":
        raise NotCovered(f"its model is {model.get('type')}, not BPE")
    if content["normalizer"] is not None:
        raise NotCovered(f"it normalises text ({content['normalizer']['type']})")
    if pattern is None:
        raise NotCovered("its way to split text is not one of those that were compared")
    for name in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        # fuse_unk has no effect without an unknown token, and all 256 bytes are asked for below
        if model.get(name):
            raise NotCovered(f"its model has {name}={model[name]!r}")
    plain = [token["content"] for token in content["added_tokens"] if not token["special"]]
    if plain:
        raise NotCovered(f"{len(plain)} added tokens are found in plain text, first {plain[0]!r}")


def _ranks(model: dict[str, Any]) -> dict[bytes, int]:
    """Bytes and merged tokens by id; special tokens of the vocabulary are left out, no merge leads to them."""
    bytes_of, vocabulary = byte_characters(), model["vocab"]
    missing = [character for character in bytes_of if character not in vocabulary]
    if missing:
        raise NotCovered(f"{len(missing)} of the 256 bytes have no token")
    spelled = {character: bytes([byte]) for character, byte in bytes_of.items()}
    ranks = {spelled[character]: int(vocabulary[character]) for character in bytes_of}
    last = -1
    for left, right in model["merges"]:
        token, found = left + right, int(vocabulary[left + right])
        if left not in spelled or right not in spelled:
            raise NotCovered(f"the merge to {token!r} stands before those that it needs")
        spelled[token] = key = spelled[left] + spelled[right]
        if key in ranks:
            raise NotCovered(f"the token {token!r} is made by two merges")
        if found <= last:
            raise NotCovered(f"the id of {token!r} does not follow the order of the merges")
        ranks[key] = last = found
    if model.get("ignore_merges") and len(vocabulary) != len(ranks):
        raise NotCovered("it takes whole words from the vocabulary that no merge leads to")
    return ranks


def _expect_own_ids(tokenizer: tokenizers.Tokenizer, model: dict[str, Any], ranks: dict[bytes, int]) -> None:
    """Raises NotCovered unless each token is what the merges make of its own bytes."""
    merges = [(left, right) for left, right in model["merges"]]
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=model["vocab"], merges=merges))
    made = set(ranks.values())
    tokens = [token for token, number in model["vocab"].items() if number in made]
    for token, encoded in zip(tokens, bare.encode_batch_fast(tokens, add_special_tokens=False), strict=True):
        if encoded.ids != [model["vocab"][token]]:
            raise NotCovered(f"the merges do not lead to the token {token!r}")
