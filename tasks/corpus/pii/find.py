"""Personal data in a text: cheap gates first, so that a clean text costs next to nothing, then the rules."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from tasks.corpus.pii.addresses import CREDENTIALS_RULE, EMAIL_RULE, IPV4_RULE, IPV6_RULE, URL_RULE
from tasks.corpus.pii.numbers import NUMBER_RULES
from tasks.corpus.pii.phones import digit_runs, find_phones
from tasks.corpus.pii.rule import Rule, Span
from tasks.corpus.pii.tokens import TOKEN_RULES

AT = re.compile("@")
DOTTED = re.compile(r"\.[0-9]{1,3}\.[0-9]")
COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
# Characters around a gate's hit that a rule may need: an address, a run of digits with the words beside it
EMAIL_REACH, IP_REACH, NUMBER_REACH = 520, 48, 48

Window = tuple[int, int]


class _Taken:
    """Spans without overlap, in order; what one rule has taken is no other rule's."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def free(self, start: int, end: int) -> bool:
        at = bisect_left(self.spans, (start, -1, ""))
        return (at == 0 or self.spans[at - 1][1] <= start) and (at == len(self.spans) or self.spans[at][0] >= end)

    def take(self, found: Iterable[Span]) -> None:
        for span in found:
            if self.free(span[0], span[1]):
                self.spans.insert(bisect_right(self.spans, span), span)


def find_pii(text: str, region: str) -> list[Span]:
    """Spans (start, end, kind) of personal data, by start. Only a URL may hold others: `mask` takes the outer one.

    region: ISO 3166 code of the country that telephone numbers without a country code belong to.
    """
    taken, urls = _Taken(), _Taken()
    if "://" in text:
        everywhere = [(0, len(text))]
        taken.take(_hits(CREDENTIALS_RULE, text, everywhere))
        urls.take(_hits(URL_RULE, text, everywhere))
    for token in TOKEN_RULES:
        for mark in token.marks:
            if mark in text:
                taken.take(_hits(token.rule, text, _around(re.compile(re.escape(mark)), text, token.reach)))
    if "@" in text:
        taken.take(_hits(EMAIL_RULE, text, _around(AT, text, EMAIL_REACH)))
    if ":" in text:
        taken.take(_hits(IPV6_RULE, text, _around(COLONS, text, IP_REACH)))
    taken.take(_hits(IPV4_RULE, text, _around(DOTTED, text, IP_REACH)))
    # Numbers inside URLs name pages, not people
    runs = [run for run in digit_runs(text) if urls.free(*run)]
    if runs:
        windows = _merged((start - NUMBER_REACH, end + NUMBER_REACH) for start, end in runs)
        for rule in NUMBER_RULES:
            taken.take(_hits(rule, text, windows))
        runs = [run for run in runs if taken.free(*run)]
        phones = sorted(find_phones(text, region, runs), key=lambda span: (span[0], -span[1]))
        taken.take((start, end, "phone") for start, end in phones)
    return sorted(taken.spans + urls.spans, key=lambda span: (span[0], -span[1])) if urls.spans else taken.spans


def _hits(rule: Rule, text: str, windows: Iterable[Window]) -> Iterator[Span]:
    for start, end in windows:
        for match in rule.pattern.finditer(text, start, end):
            if (span := rule.check(match)) is not None:
                yield (*span, rule.kind)


def _around(gate: re.Pattern[str], text: str, reach: int) -> list[Window]:
    return _merged((match.start() - reach, match.end() + reach) for match in gate.finditer(text))


def _merged(windows: Iterable[Window]) -> list[Window]:
    """Windows in order, overlapping ones joined."""
    merged: list[Window] = []
    for start, end in windows:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((max(start, 0), end))
    return merged
