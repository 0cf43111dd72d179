"""Write tasks/corpus/quality/english_rules.json: how spaCy's blank English pipeline splits words, as data.

    PEERS/bin/python benchmarks/corpus/english_rules.py TARGET.json

Runs in an environment with spaCy and datatrove. Character classes become ranges; each special case gives the lengths
of its words and, where spaCy looks for it among split tokens, the lengths of those tokens.
"""

import json
import re
import sys
from pathlib import Path

import spacy
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
from spacy.lang import char_classes as classes
from spacy.pipeline.sentencizer import Sentencizer

EVERY = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
UNICODE_SPACE = {character for character in EVERY if character.isspace()}


def ranges(characters: set[str]) -> list[list[int]]:
    """Sorted, inclusive ranges of code points."""
    result: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def members(pattern: str) -> set[str]:
    return set(re.findall(pattern, EVERY))


def main() -> None:
    tokenizer = spacy.blank("en").tokenizer
    plain = spacy.blank("en").tokenizer
    plain.rules = {}
    singles = "".join(
        re.escape(one.replace("\\", ""))
        for one in classes.LIST_PUNCT + classes.LIST_QUOTES + ["…"]
        if len(one.replace("\\", "")) == 1
    )
    currency = "".join(re.escape(one[-1]) for one in classes.LIST_CURRENCY if len(one.replace("\\", "")) == 1)
    icons = classes.CONCAT_ICONS
    found = {
        "alpha": members(f"[{classes.ALPHA}]"),
        "lower": members(f"[{classes.ALPHA_LOWER}]"),
        "upper": members(f"[{classes.ALPHA_UPPER}]"),
        "quote": members(f"[{classes.CONCAT_QUOTES}]"),
        "prefix": members(f"[§%=—–{singles}{currency}{icons}]"),
        "suffix": members(f"[—–{singles}{icons}]"),
        "infix": members(f"[…{icons}]"),
        "before_dot": members(rf"[0-9{classes.ALPHA_LOWER}%²\-\+{classes.PUNCT}(?:{classes.CONCAT_QUOTES})]"),
        "currency": members(f"[{currency}]"),
        "symbol": PUNCTUATION_SET,
        "sentence_end": set(Sentencizer.default_punct_chars),
    }
    rules = {}
    for text, pieces in sorted(tokenizer.rules.items()):
        if text.isspace():
            continue
        words = [len(next(iter(piece.values()))) for piece in pieces]
        split = [len(token.text) for token in plain(text)]
        sought = tokenizer.find_prefix(text) or tokenizer.find_infix(text) or tokenizer.find_suffix(text)
        assert sum(words) == len(text) == sum(split)
        rules[text] = [words, split] if sought and split != words else [words]
        if len(split) == 1 and len(rules[text]) == 2:
            print("one token that is split again:", text, words)
    data = {
        "source": f"spaCy {spacy.__version__} (MIT licence), datatrove (Apache-2.0 licence)",
        "classes": {name: ranges(characters - UNICODE_SPACE if name != "symbol" else characters)
                    for name, characters in found.items()},
        "terminal": "".join(sorted(TERMINAL_PUNCTUATION)),
        "after_digits": sorted({one.replace("\\", "") for one in classes.LIST_UNITS + classes.LIST_CURRENCY}),
        "rules": rules,
    }  # fmt: skip
    Path(sys.argv[1]).write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="utf-8")
    print({name: len(characters) for name, characters in found.items()})
    print(max(map(len, data["after_digits"])), max(map(len, rules)), sum(len(rule) == 2 for rule in rules.values()))
    print({text: rule for text, rule in rules.items() if len(rule) == 2 and text.isalpha()})


main()
