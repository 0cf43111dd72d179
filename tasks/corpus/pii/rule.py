"""What a rule of the personal-data search is: a name, a kind, a pattern, and a check of what the pattern found."""

import re
from collections.abc import Callable
from dataclasses import dataclass

Span = tuple[int, int, str]  # start, end, kind
Check = Callable[[re.Match[str]], tuple[int, int] | None]


def whole(match: re.Match[str]) -> tuple[int, int]:
    """The check of a pattern that needs none."""
    return match.span()


@dataclass(frozen=True, slots=True)
class Rule:
    """name: for people and tests. kind: the setting in `corpus.pii` and the placeholder. check: the span to mask,
    or None when the match is none. The pattern is only tried near what the finder's gates let through.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    check: Check = whole


def accepted(test: Callable[[str], bool]) -> Check:
    """A check by the matched text alone."""
    return lambda match: match.span() if test(match.group()) else None


def before(match: re.Match[str], size: int) -> str:
    """Up to ``size`` characters in front of the match."""
    return match.string[max(match.start() - size, 0) : match.start()]


def after(match: re.Match[str], size: int) -> str:
    """Up to ``size`` characters behind the match."""
    return match.string[match.end() : match.end() + size]
