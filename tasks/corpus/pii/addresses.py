"""Addresses on the network: e-mail, URLs, credentials in URLs, IP."""

import ipaddress
import re

from tasks.corpus.pii.rule import Rule, after, before

EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
# Full stops, commas and brackets of CJK text end a URL too: there is no space behind it
URL = re.compile(r"(?i:https?|ftp)://[^\s<>\"'`{}|\\^\[\]，。；：、！？（）【】《》「」“”‘’\x00-\x1f]{4,2048}")
TRAILING = ".,;:!?*_~)"
CREDENTIALS = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:[A-Za-z][A-Za-z0-9+.-]{1,19})://([^\s/?#@:\[\]<>\"']{0,128}:[^\s/?#@\[\]<>\"']{1,256})@(?=[\w\[])"
)
PLACEHOLDER = re.compile(r"[<$%{*]|^(?:user(?:name)?|login|name)?:(?:pass(?:word|wd)?|secret|token|x+|\.+)$", re.I)
USER_INFO = re.compile(r"://[^\s/@]*:$")  # the password and host of a URL look like an address
IPV4 = re.compile(r"(?<![\w.-])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w-]|\.[0-9])")
IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?::|[0-9A-Fa-f]{1,4})(?::?[0-9A-Fa-f]{1,4}){0,6}(?![\w:]|\.[0-9])"
)
NUMBERED = re.compile(
    r"(?:\b(?:versions?|ver|v|releases?|firmware|builds?|rev|revisions?|sections?|sec|chapters?|clauses?|articles?"
    r"|figures?|fig|tables?|appendix|rfc|oid)\b\.?|[§v第])[\s:=(]*$",
    re.I,
)
HOST = re.compile(
    r"\b(?:ip|ips|ipv4|address(?:es)?|host|server|dns|ping|gateway|client|port|subnet)\b|地址|//|@$", re.I
)
SMALL = 32  # four numbers below it may as well be a section or a version


def _email(match: re.Match[str]) -> tuple[int, int] | None:
    return None if USER_INFO.search(before(match, 128)) else match.span()


def _url(match: re.Match[str]) -> tuple[int, int] | None:
    text = match.group()
    while text and text[-1] in TRAILING and not (text[-1] == ")" and text.count("(") >= text.count(")")):
        text = text[:-1]
    return match.start(), match.start() + len(text)


def _credentials(match: re.Match[str]) -> tuple[int, int] | None:
    return None if PLACEHOLDER.search(match[1]) else match.span(1)


def _ip(match: re.Match[str]) -> tuple[int, int] | None:
    """A public address: private, reserved and documentation ranges identify nobody."""
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if address.version == 6:
        # Names like dead::beef or Ada::Bad in code spell addresses too
        groups = [group for group in match.group().split(":") if group]
        known = len(groups) >= 3 and any(char.isdigit() for char in match.group())
        return match.span() if known else None
    if NUMBERED.search(before(match, 20)):
        return None
    if max(map(int, match.group().split("."))) < SMALL and not HOST.search(before(match, 40) + " " + after(match, 12)):
        return None
    return match.span()


EMAIL_RULE = Rule("e-mail address", "email", EMAIL, _email)
URL_RULE = Rule("URL", "url", URL, _url)
CREDENTIALS_RULE = Rule("user and password in a URL", "url_credentials", CREDENTIALS, _credentials)
IPV4_RULE = Rule("IPv4 address", "ip", IPV4, _ip)
IPV6_RULE = Rule("IPv6 address", "ip", IPV6, _ip)
