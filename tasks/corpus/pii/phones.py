"""Telephone numbers: by the numbering plans, by their shape, and by the words around them.

Plans alone (phonenumbers) miss numbers that no country has handed out, and shapes alone take part numbers for
telephones. So a number counts when a plan has it, when it is written the way only telephone numbers are, or when
it has a loose shape and stands beside a word like "phone" or "fax".
"""

import re
from collections.abc import Iterator

from phonenumbers import Leniency, PhoneNumberMatcher

# The matcher of phonenumbers is slow: it only sees the surroundings of runs that could be a number.
DIGIT_RUN = re.compile(r"\d(?:[ \t().\-–/\u00a0]{0,3}\d){6,}")
# Written like a phone number, though the area or country may not have handed it out: 3-3-4 groups, or +country.
SHAPED = re.compile(
    r"(?<![\w.+/-])(?:(?:\+?1|001)[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?:x\d{1,5})?(?![\w/]|[-.]\d)"
    r"|(?<![\w+)])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\w|[-.]\d)"
)
# Two to six groups of two to five digits, or one long one; and a Chinese mobile number
LOOSE = re.compile(
    r"(?<![\w.+/$€£¥-])(?:\+|00)?\(?[0-9]{1,5}\)?(?:[ .-]?\(?[0-9]{2,7}\)?){1,5}(?:x[0-9]{1,5})?(?![\w/%]|[-.,][0-9])"
)
CN_MOBILE = re.compile(
    r"(?<![\w.+/-])(?:(?:\+|00)?86[ -]?)?1[3-9][0-9]([ -]?)[0-9]{4}\1[0-9]{4}(?![\w/]|[-.][0-9])", re.A
)
SAID_BEFORE = re.compile(
    r"(?:\b(?:tele?phones?|phones?|mobiles?|cell(?:phone)?s?|faxe?s?|tel|mob|desk|hotline|whatsapp|landline"
    r"|(?:phone|contact|mobile|cell|registered) (?:no|nr|number)s?|call(?:ed|ing|s)?|dial(?:led|ing)?|ring|reach"
    r"|texts?|texted|sms|messages?|answer(?:ing|s|ed)? at)\b|电话|手机|致电|联系方式|热线|传真|拨打|座机)"
    r"[^\d\n{}\[\]]{0,36}\n?$",
    re.I,
)
SAID_AFTER = re.compile(r"[\s(,-]{0,3}(?:office|fax|mobile|cell|tel|home phone|work phone|direct line)\b", re.I)
DATE = re.compile(
    r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])(?!\d)|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d"
)
# Years of birth and death, a year with its pages
YEARS = re.compile(r"\(?(?:1[0-9]|20)\d\d(?:\)?[ ./–-]+(?:1[0-9]|20)\d\d\)?)+|\((?:19|20)\d\d\).*")
SINGLES = re.compile(r"(?:\d[ \t]+){4}")  # 1 2 3 4 5 is counting
# A number without separators is a telephone number in prose, and an identifier in a list, a table or a program
PROGRAM_BEFORE = re.compile(r"[\"'=\[{,#&<>|]\s*$|\d\s+$")
PROGRAM_AFTER = re.compile(r"\s*[\"'\]},|<>]?\s*,?\s*\d|[\"'\]}<>=|]")
LIMITS = frozenset(("2147483647", "2147483648", "4294967295", "4294967296"))  # of 32-bit integers
# Decimals: 22.33-12.90, 522.4000000
DECIMALS = re.compile(r"\d\.\d.*\d[ –-]{1,2}\d|\d[ –-]{1,2}\d.*\d\.\d|-?\d+\.\d{5,}$|^\d{5,}\.\d\d?$")
# The rest of a decimal or a path, an operand, or a number that is named something else
OTHERWISE = re.compile(
    r"(?:\d\.|[/)\\]|\b(?:isbn|issn|doi|ean|pmid|oclc|versions?|v)\b[\s:-]{0,4}|ids?[\"']?\s*[:=]\s*)$", re.I
)
LATIN = re.compile(r"[A-Za-wyz]")  # an x begins an extension
EXTENSION = re.compile(r"[\s,;]{0,3}(?:x|#|ext|доб)", re.I)
HAN = re.compile(r"[\u4e00-\u9fff]")
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")  # an IPv4 address passes for a number of some plan
MARGIN = 12  # characters around a run that the matcher needs to judge it
BESIDE = 48  # characters in which a word is beside a number
LONGEST_RUN = 200  # characters on one line: beyond it lies a table of numbers
LOCAL_DIGITS = range(7, 16)  # ITU E.164 allows 15


def digit_runs(text: str) -> Iterator[tuple[int, int]]:
    """Spans of seven and more digits with little between them, a leading + or bracket included."""
    for run in DIGIT_RUN.finditer(text):
        start = run.start()
        yield start - (start > 0 and text[start - 1] in "+("), run.end()


def find_phones(text: str, region: str, runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans of telephone numbers at or near the given runs of digits; may overlap.

    region: ISO 3166 code of the country that numbers without a country code belong to.
    """
    seen = 0  # windows do not overlap
    for run_start, run_end in runs:
        if _is_identifier(text, run_start, run_end):
            continue
        start = max(run_start - MARGIN, seen)
        window = text[start : run_end + MARGIN]
        found = list(_by_shape(text, window, start))
        # The matcher of phonenumbers takes most of the time: it need not look at what is known, extensions aside
        known = any(start + first <= run_start and start + last >= run_end for first, last in found)
        if run_end - run_start <= LONGEST_RUN and (not known or EXTENSION.match(text, run_end)):
            found += _by_plan(text, window, region, start)
            if region != "CN" and HAN.search(window):
                found += _by_plan(text, window, "CN", start)
        for first, last in found:
            if not ADDRESS.fullmatch(text, start + first, start + last):
                yield start + first, start + last
        seen = run_end


def _is_identifier(text: str, start: int, end: int) -> bool:
    """Whether a run is part of a word or too long: spares the slow matcher a look at hashes and keys."""
    if not text[start:end].isdigit():
        return False
    beside = text[max(start - 1, 0) : start] + text[end : end + 1]
    return end - start > LOCAL_DIGITS.stop or LATIN.search(beside) is not None


def _by_shape(text: str, window: str, start: int) -> Iterator[tuple[int, int]]:
    for shaped in SHAPED.finditer(window):
        yield shaped.span()
    if HAN.search(window):
        for mobile in CN_MOBILE.finditer(window):
            yield mobile.span()
    for loose in LOOSE.finditer(window):
        if _is_said(text, loose.group(), start + loose.start(), start + loose.end()):
            yield loose.span()


def _by_plan(text: str, window: str, region: str, start: int) -> Iterator[tuple[int, int]]:
    for match in PhoneNumberMatcher(window, region, Leniency.VALID):
        number = match.raw_string
        if DECIMALS.search(number) or YEARS.fullmatch(number) or SINGLES.search(number):
            continue
        if OTHERWISE.search(window[: match.start]):
            continue
        if number.strip("([").isdigit() and _is_data(text, number, start + match.start, start + match.end):
            continue
        yield match.start, match.end


def _is_data(text: str, number: str, start: int, end: int) -> bool:
    """Whether a number without separators stands where programs and tables keep theirs."""
    if number.startswith(("(", "[")) or number in LIMITS:
        return True
    in_front = text[max(start - MARGIN, 0) : start]
    if SAID_BEFORE.search(text[max(start - BESIDE, 0) : start]):
        return False
    return bool(PROGRAM_BEFORE.search(in_front) or PROGRAM_AFTER.match(text, end))


def _is_said(text: str, number: str, start: int, end: int) -> bool:
    """Whether a loosely shaped number is called a telephone number by the words beside it."""
    digits = sum(char.isdigit() for char in number.partition("x")[0])
    if digits not in LOCAL_DIGITS or DATE.search(number) or YEARS.fullmatch(number):
        return False
    said = SAID_BEFORE.search(text[max(start - BESIDE, 0) : start])
    return bool(said or SAID_AFTER.match(text, end))
