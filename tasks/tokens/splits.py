"""How byte-level tokenizers cut text into pieces before they merge bytes: one regular expression each.

Two engines run them: Oniguruma in ``tokenizers``, fancy-regex in tiktoken. The slow test of this package compares the
two on every code point for each split here; a split that is not here is therefore never given to tiktoken.
"""

import json
from typing import Any, Literal

Digits = Literal["three", "individual", "any"]
_NUMBERS: dict[Digits, str] = {"three": r"\p{N}{1,3}", "individual": r"\p{N}", "any": r"\p{N}+"}
_GPT2_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
# A run of blanks leaves its last one to the word after it
_BLANKS = r"\s+(?!\S)|\s+"


def split_pattern(digits: Digits) -> str:
    """GPT-4's split (tiktoken's cl100k_base): contractions, words with their space, numbers. ``digits``: a number
    is cut into threes from the left (GPT-4), into single digits (Qwen), or not at all (GPT-2)."""
    return f"{_gpt4_words(digits)}|{_BLANKS}"


def known_pattern(pre_tokenizer: dict[str, Any] | None) -> str | None:
    """The expression for tiktoken that cuts text as this pre-tokenizer of a tokenizer.json does; None when it is
    not one of those that were compared."""
    if pre_tokenizer is None:
        return None
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    return _KNOWN.get(_key(steps))


def _gpt4_words(digits: Digits) -> str:
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + _NUMBERS[digits]
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    )


def _key(steps: list[dict[str, Any]]) -> str:
    """Steps without the option that has to do with offsets only."""
    return json.dumps([{k: v for k, v in step.items() if k != "trim_offsets"} for step in steps], sort_keys=True)


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


# Not the step Digits (SmolLM2): its digits are those of a later Unicode, some code points differ.
# fancy-regex hands what needs no look-ahead to a faster engine, if that is one group
_KNOWN: dict[str, str] = {
    _key([_byte_level(True)]): f"(?:{_GPT2_WORDS})|{_BLANKS}",
    **{
        _key([_split(split_pattern(digits)), _byte_level(False)]): f"(?:{_gpt4_words(digits)})|{_BLANKS}"
        for digits in _NUMBERS
    },
}
