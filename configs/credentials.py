"""Refuse credentials in settings: settings are written into run records, manifests, reports and Prefect's database."""

import re
from collections.abc import Iterator
from typing import Any

# What to use instead, by scheme of the URL
INSTEAD = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile in ~/.aws)",
    "s3a": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile in ~/.aws)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_CONNECTION_STRING",
    "abfs": "AZURE_STORAGE_CONNECTION_STRING",
    "abfss": "AZURE_STORAGE_CONNECTION_STRING",
    "postgresql": "PREFECT_API_DATABASE_CONNECTION_URL, in the server's environment only",
    "postgresql+asyncpg": "PREFECT_API_DATABASE_CONNECTION_URL, in the server's environment only",
}
# A bare user is no secret (sftp://me@host, abfs://container@account), but in https it is a token
USER = re.compile(r"([A-Za-z][\w+.-]*)://[^/\s?#@]*:[^/\s?#]*@|(https?)://[^/\s?#]*@", re.I)
QUERY = re.compile(
    r"([A-Za-z][\w+.-]*)://\S*[?&][^=&\s]*"
    r"(?:access_?key|api_?key|secret|token|password|signature|credential|sig)[^=&\s]*=",
    re.I,
)
TOKENS = (
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key", INSTEAD["s3"]),
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "a Hugging Face token", "HF_TOKEN"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), "a key of a model's endpoint", "OPENAI_API_KEY (rank.judge.key_env)"),
    (re.compile(r"https://hooks\.slack\.com/"), "a webhook address", "a Prefect notification block"),
)


def credentials_in(values: Any, where: str = "") -> Iterator[str]:
    """One line for every string below ``values`` that holds a credential: which setting, and what to use instead.

    The credential itself is never repeated. ``where`` is the path of ``values``, ``store`` or ``corpus.sources.0``.
    """
    if isinstance(values, dict):
        for name, item in values.items():
            yield from credentials_in(item, f"{where}.{name}" if where else str(name))
    elif isinstance(values, (list, tuple)):
        for index, item in enumerate(values):
            yield from credentials_in(item, f"{where}.{index}")
    elif isinstance(values, str) and (found := _credential(values)):
        what, instead = found
        yield f"{where} holds {what}, and settings are stored and shown in clear; take it out and use {instead}"


def _credential(text: str) -> tuple[str, str] | None:
    for pattern, what, instead in TOKENS:
        if pattern.search(text):
            return what, instead
    for pattern, what in ((USER, "a user or password in a URL"), (QUERY, "a key or token in a URL")):
        if match := pattern.search(text):
            return what, INSTEAD.get((match[1] or "").lower(), "an environment variable or a Prefect block")
    return None
