"""Numbers that stand for a person or an account: cards, IBAN, Chinese identity cards, US social security."""

import re

from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

from tasks.corpus.pii.rule import Rule, accepted, after, before

# Issuer prefixes with the lengths they come in (ISO/IEC 7812 ranges as the networks publish them)
ISSUERS = (
    ("Visa", re.compile(r"4"), (13, 16, 19)),
    ("Mastercard", re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    ("American Express", re.compile(r"3[47]"), (15,)),
    ("Discover", re.compile(r"6011|64[4-9]|65"), (16, 17, 18, 19)),
    ("JCB", re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    ("JCB", re.compile(r"2131|1800"), (15,)),
    ("Diners Club", re.compile(r"30[0-5]|3095|36|3[89]"), (14, 16, 19)),
    ("UnionPay", re.compile(r"62|81"), (16, 17, 18, 19)),
    ("Mir", re.compile(r"220[0-4]"), (16, 17, 18, 19)),
    ("Maestro", re.compile(r"5018|5020|5038|5893|5[68]|6304|6759|676[1-3]|0604"), (12, 13, 14, 15, 16, 17, 18, 19)),
)
CARD = re.compile(r"(?<![\w.+/=&#-])[0-9](?:[ -]?[0-9]){11,18}(?![\w/=&-]|\.[0-9])")
GROUPED = re.compile(r"[0-9]{4}([ -])(?:[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{6}\1[0-9]{4,5})")
# Test data and some banks use the rest of 35; with a word for it the check digit is enough
SAID_ISSUER = re.compile(r"35")
CARD_WORDS = re.compile(
    r"\b(?:cards?|cc|visa|master(?:card)?|amex|maestro|credit|debit|charged?|payments?|pan)\b|卡", re.I
)
USUAL = range(14, 17)  # digits; a shorter or longer number with a right check digit is too often something else
IBAN = re.compile(
    r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?:[0-9A-Za-z]{11,30}|(?:[ -][0-9A-Za-z]{4}){2,7}(?:[ -][0-9A-Za-z]{1,3})?)"
    r"(?![0-9A-Za-z])"
)
ID_CARD = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z])")
SSN = re.compile(r"(?<![\w.+/-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w/-]|\.[0-9])")
BARE_SSN = re.compile(r"(?<![\w.+/-])[0-9]{3}[ ]?[0-9]{2}[ ]?[0-9]{4}(?![\w/-]|\.[0-9])")
SSN_WORDS = re.compile(r"\bssn\b|social security", re.I)


def _card(match: re.Match[str]) -> tuple[int, int] | None:
    text = match.group()
    digits = text.replace(" ", "").replace("-", "")
    if len(digits) != len(text) and not GROUPED.fullmatch(text):
        return None
    issued = any(len(digits) in sizes and start.match(digits) for _, start, sizes in ISSUERS)
    if len(set(digits)) < 2 or not (issued or SAID_ISSUER.match(digits)) or not luhn.is_valid(digits):
        return None
    if issued and len(digits) in USUAL:
        return match.span()
    return match.span() if CARD_WORDS.search(before(match, 60) + " " + after(match, 40)) else None


def _iban(match: re.Match[str]) -> tuple[int, int] | None:
    """Groups of four may run into the next word: the longest start that is an IBAN counts."""
    text = match.group()
    while True:
        if iban.is_valid(text):
            return match.start(), match.start() + len(text)
        cut = max(text.rfind(" "), text.rfind("-"))
        if cut < 15:
            return None
        text = text[:cut]


def _bare_ssn(match: re.Match[str]) -> tuple[int, int] | None:
    said = SSN_WORDS.search(before(match, 40))
    return match.span() if said and ssn.is_valid(match.group().replace(" ", "")) else None


NUMBER_RULES = (
    Rule("IBAN", "iban", IBAN, _iban),
    Rule("Chinese identity card", "id_card", ID_CARD, accepted(ric.is_valid)),
    Rule("credit card", "card", CARD, _card),
    Rule("US social security number", "ssn", SSN, accepted(ssn.is_valid)),
    Rule("US social security number without dashes", "ssn", BARE_SSN, _bare_ssn),
)
