"""E-mail addresses and phone numbers: found, then masked, or a reason to reject."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from phonenumbers import Leniency, PhoneNumberMatcher

EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
# The matcher of phonenumbers is slow: it only sees the surroundings of runs that could be a number.
DIGIT_RUN = re.compile(r"[+(]?\d(?:[ \t().\-–/\u00a0]{0,3}\d){6,}")
# Written like a phone number, though the area or country may not have handed it out: 3-3-4 groups, or +country.
SHAPED = re.compile(
    r"(?<![\w.+/-])(?:(?:\+?1|001)[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?:x\d{1,5})?(?![\w/]|[-.]\d)"
    r"|(?<![\w+])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\w|[-.]\d)"
)
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")  # an IPv4 address passes for a number of some plan
MARGIN = 12  # characters around a run that the matcher needs to judge it
PLACEHOLDERS = {"email": "[email]", "phone": "[phone]"}

Span = tuple[int, int, str]


def find_pii(text: str, region: str) -> list[Span]:
    """Spans (start, end, kind) of e-mail addresses and phone numbers, in order and without overlap.

    region: ISO 3166 code of the country that numbers without a country code belong to.
    """
    spans = []
    if "@" in text:
        spans += [(*match.span(), "email") for match in EMAIL.finditer(text)]
    spans += [(start, end, "phone") for start, end in _phones(text, region)]
    return _without_overlap(spans)


def mask(text: str, spans: list[Span]) -> str:
    """The text with each span replaced by its placeholder."""
    pieces, last = [], 0
    for start, end, kind in spans:
        pieces += [text[last:start], PLACEHOLDERS[kind]]
        last = end
    return "".join([*pieces, text[last:]])


def mask_messages(
    metadata: dict[str, Any], spans_of: Callable[[str], list[Span]]
) -> tuple[dict[str, Any], Counter[str]]:
    """Metadata whose ``messages`` are masked too, since pretraining reads them instead of the text; counts by kind.

    The same object comes back when there is nothing to mask.
    """
    counts: Counter[str] = Counter()
    masked = []
    for message in metadata.get("messages", []):
        spans = spans_of(message["content"])
        counts.update(kind for _, _, kind in spans)
        masked.append({**message, "content": mask(message["content"], spans)})
    return ({**metadata, "messages": masked} if counts else metadata), counts


def _phones(text: str, region: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    seen = 0  # windows do not overlap
    for run in DIGIT_RUN.finditer(text):
        start = max(run.start() - MARGIN, seen)
        window = text[start : run.end() + MARGIN]
        found += [
            (start + match.start, start + match.end) for match in PhoneNumberMatcher(window, region, Leniency.VALID)
        ]
        found += [(start + match.start(), start + match.end()) for match in SHAPED.finditer(window)]
        seen = run.end()
    return [(start, end) for start, end in found if not ADDRESS.fullmatch(text, start, end)]


def _without_overlap(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
