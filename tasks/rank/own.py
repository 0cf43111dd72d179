"""Rows of our own format: a prompt, its candidates, and how one or several annotators ranked them."""

import math
from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.conversation import ends_with_user, messages
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt


def read_own(row: dict[str, Any], origin: str, annotator: str = "") -> RankedPrompt:
    """{"prompt": text or messages, "candidates": [text], "ranks": [rank], and what else is known of the ranking}.

    The smallest rank is best; null is a candidate that was not ranked. What else: annotator (else the argument),
    ratings, shown, all_bad, axes, comment, seconds, as in ``Ranking``; models, what wrote each candidate. ``ranks``
    may hold one such list an annotator; each of the others is then a list with one entry a ranking, save for an
    annotator that is one name. Raises ValueError that names the field.
    """
    candidates, ranks, models = row.get("candidates"), row.get("ranks"), row.get("models") or []
    if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
        raise ValueError("`candidates` is not a list of texts")
    if not isinstance(ranks, list) or not ranks:
        raise ValueError("`ranks` is not a list of ranks, nor of one such list an annotator")
    count = len(candidates)
    if not isinstance(models, list) or len(models) not in (0, count) or not _all(models, str):
        raise ValueError(f"`models` is not a list of {count} names")
    rankings = [
        Ranking.of(_ranks(given, count), origin=origin, **about)
        for given, about in _each(row, ranks, count, annotator)
    ]  # fmt: skip
    prompt = ends_with_user(messages(row.get("prompt"), "prompt"), "prompt")
    return ranked_prompt(prompt, candidates, rankings, models)


def _each(
    row: dict[str, Any], ranks: list[Any], count: int, annotator: str
) -> Iterator[tuple[Any, dict[str, Any]]]:  # fmt: skip
    """The ranks of every ranking, and what else is known of it."""
    several = isinstance(ranks[0], list)
    known = {name: row[name] for name in CHECKS if row.get(name) is not None}
    for number, given in enumerate(ranks if several else [ranks]):
        about: dict[str, Any] = {"annotator": annotator}
        for name, values in known.items():
            value = values
            if several and not (name == "annotator" and isinstance(values, str)):
                if not isinstance(values, list) or len(values) != len(ranks):
                    raise ValueError(f"`{name}` is not a list of {len(ranks)}, one a ranking")
                value = values[number]
            if value is None or value == "":
                continue
            if (problem := CHECKS[name](value, count)) is not None:
                raise ValueError(f"`{name}` {problem}: {value!r:.60}")
            about[name] = value
        yield given, about


def _ranks(given: Any, count: int) -> list[int | None]:
    if not isinstance(given, list) or len(given) != count:
        raise ValueError(f"not one rank a candidate: {count} candidates, but ranks {given!r:.80}")
    if not all(rank is None or _whole(rank) for rank in given):
        raise ValueError(f"ranks are not whole numbers: {given!r:.80}")
    return given


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return (isinstance(value, float) and math.isfinite(value)) or _whole(value)


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _name(value: Any, count: int) -> str | None:
    return None if isinstance(value, str) else "is not a name"


def _text(value: Any, count: int) -> str | None:
    return None if isinstance(value, str) else "is not a text"


def _ratings(value: Any, count: int) -> str | None:
    sound = isinstance(value, list) and len(value) in (0, count) and all(map(_number, value))
    return None if sound else f"is not a list of {count} numbers"


def _shown(value: Any, count: int) -> str | None:
    sound = isinstance(value, list) and all(map(_whole, value)) and (not value or sorted(value) == list(range(count)))
    return None if sound else f"is not the places 0 to {count - 1} in some order"


def _truth(value: Any, count: int) -> str | None:
    return None if isinstance(value, bool) else "is neither true nor false"


def _axes(value: Any, count: int) -> str | None:
    if not isinstance(value, dict):
        return "is not an object of axes"
    for marks in value.values():
        if not isinstance(marks, list) or len(marks) != count or not all(m is None or _whole(m) for m in marks):
            return f"has an axis that is not a list of {count} whole numbers or nulls"
    return None


def _seconds(value: Any, count: int) -> str | None:
    return None if _number(value) and value >= 0 else "is not a number of seconds"


# Of the fields of a ranking that a row may hold: what is wrong with a value, or None
CHECKS = {
    "annotator": _name, "ratings": _ratings, "shown": _shown, "all_bad": _truth, "axes": _axes, "comment": _text,
    "seconds": _seconds,
}  # fmt: skip
