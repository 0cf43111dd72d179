"""Secrets: access keys, API tokens, private keys. Each has literal marks: a text without them costs next to nothing."""

import base64
import binascii
import json
import re
from dataclasses import dataclass

from tasks.corpus.pii.rule import Check, Rule

EXAMPLE = re.compile(r"EXAMPLE|example|x{6}|X{6}|\*{3}|\.{3}|0{8}|1234567|abcdefg|ABCDEFG|your|YOUR")
DISTINCT = 8  # different characters: a made-up token repeats a few
LONGEST = 320  # characters before and behind a mark that a token may need
PEM_LENGTH = 20_000  # characters of a private key
PEM_END = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"


@dataclass(frozen=True, slots=True)
class TokenRule:
    """The rule is tried around each place where one of the marks stands, ``reach`` characters each side."""

    marks: tuple[str, ...]
    rule: Rule
    reach: int = LONGEST


def _random(group: int = 0) -> Check:
    """Documentation is full of tokens that are none: EXAMPLE, xxxxxxxx, 1234567."""

    def check(match: re.Match[str]) -> tuple[int, int] | None:
        value = match[group]
        return match.span(group) if len(set(value)) >= DISTINCT and not EXAMPLE.search(value) else None

    return check


def _jwt(match: re.Match[str]) -> tuple[int, int] | None:
    header = match.group().split(".")[0]
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return match.span() if isinstance(fields, dict) and "alg" in fields else None


def _pem(match: re.Match[str]) -> tuple[int, int] | None:
    return match.span() if len(re.findall(r"[A-Za-z0-9+/=]", match["body"] or match["cut"])) >= 64 else None


def _token(name: str, marks: tuple[str, ...], pattern: str, check: Check | None = None) -> TokenRule:
    return TokenRule(marks, Rule(name, "secret", re.compile(pattern), check or _random()))


TOKEN_RULES = (
    _token("AWS access key id", ("AKIA", "ASIA"), r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _token(
        "AWS secret access key",
        ("ecret", "SECRET"),
        r"(?i:(?:aws|amazon)[\w .-]{0,20}secret[\w .-]{0,12}|secret[_ -]?(?:access[_ -]?)?key)[\"'\s:=>]{1,8}"
        r"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        _random(1),
    ),
    _token("GitHub token", ("gho_", "ghp_", "ghr_", "ghs_", "ghu_"), r"\bgh[oprsu]_[A-Za-z0-9]{36,251}(?!\w)"),
    _token("GitHub fine-grained token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{60,251}(?!\w)"),
    _token("GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,64}(?![\w-])"),
    _token("Slack token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{20,251}(?![\w-])"),
    _token(
        "Slack webhook",
        ("hooks.slack.com/",),
        r"https://hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9+/]{40,90})",
        _random(1),
    ),
    _token(
        "OpenAI key",
        ("sk-",),
        r"(?<![\w-])sk-(?!ant-)(?=[\w-]{0,251}[0-9])(?:[a-z]+-)?[A-Za-z0-9_-]{32,251}(?![\w-])",
    ),
    _token("Anthropic key", ("sk-ant-",), r"(?<![\w-])sk-ant-[A-Za-z0-9_-]{32,251}(?![\w-])"),
    _token("Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{34,40}(?!\w)"),
    _token("Google API key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{35}(?![\w-])"),
    _token("Stripe key", ("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{24,251}(?!\w)"),
    _token("npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}(?!\w)"),
    _token("PyPI token", ("pypi-AgEI",), r"\bpypi-AgEI[A-Za-z0-9_-]{50,251}(?![\w-])"),
    _token("SendGrid key", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![\w-])"),
    TokenRule(
        (".eyJ",),
        Rule(
            "JSON web token",
            "secret",
            re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,6000}\.[A-Za-z0-9_-]{16,1400}"),
            _jwt,
        ),
        10_000,
    ),
    TokenRule(
        ("PRIVATE KEY",),
        Rule(
            "private key",
            "secret",
            re.compile(
                rf"-----BEGIN {PEM_END}(?:(?P<body>(?:(?!-----)[\s\S]){{0,{PEM_LENGTH}}})-----END {PEM_END}"
                r"|(?P<cut>(?:\s+[A-Za-z0-9+/=]{32,80})+))"
            ),
            _pem,
        ),
        PEM_LENGTH + 200,
    ),
)
