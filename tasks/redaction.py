"""Secrets of the environment out of what is logged, shown or kept: their values are replaced by their names."""

import os
import re
from urllib.parse import unquote, urlsplit

# HF_TOKEN, AWS_SECRET_ACCESS_KEY, OPENAI_APIKEY; not TOKENIZERS_PARALLELISM
SECRET_NAME = re.compile(
    r"(TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(_|$)|AUTH_STRING$|CONNECTION_STRING$", re.I
)
SHORTEST = 6  # characters; a shorter value would blacken half of a log


def redact(text: str) -> str:
    """The text with every secret value replaced by ``[NAME]``."""
    for value, name in _secrets():
        text = text.replace(value, f"[{name}]")
    return text


def _secrets() -> list[tuple[str, str]]:
    """(value, name) of what must not be seen, the longest first: one may be a part of another."""
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        parts = value.splitlines() if SECRET_NAME.search(name) else []  # a key file is printed line by line
        if name.endswith("AUTH_STRING"):
            parts.append(value.partition(":")[2])
        for part in (*parts, *_password(value)):
            if len(part.strip()) >= SHORTEST:
                found.setdefault(part.strip(), name)
    return sorted(found.items(), key=lambda item: -len(item[0]))


def _password(value: str) -> list[str]:
    """The password in a URL such as that of a database or a proxy, as it is written and as it is meant."""
    if "://" not in value or "@" not in value:
        return []
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return []
    return [password, unquote(password)]
