"""Beginnings of documents that were dropped, as they may be shown: short, and with personal data masked.

A page is shown to more people than the corpus, and rejects are written as they were read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.corpus.pii import find_pii, mask
from tasks.report.numbers import aligned_percent

LONGEST = 480  # characters of an example
READ_OF_IT = 2000  # of those, characters that are searched for personal data: more than are shown


@dataclass(frozen=True)
class Example:
    """A document, or a span of one, that was dropped. about: what else is known of it. Personal data is masked."""

    id: str
    source: str
    about: str
    text: str


def example(row: Mapping[str, Any]) -> Example:
    """A rejected document of report.json's examples."""
    about = f"duplicate of {row['duplicate_of']}" if row.get("duplicate_of") else ""
    return Example(str(row["id"]), str(row["source"]), about, _shown(str(row["text"])))


def span(row: Mapping[str, Any]) -> Example:
    """A span of a document that matches an item of an evaluation set."""
    about = f"{row['item']}, {aligned_percent(row['share'])} of its n-grams"
    return Example(str(row["document"]), str(row["source"]), about, _shown(str(row["text"])))


def _shown(text: str) -> str:
    """The beginning of a text, as it may be shown."""
    text = text[:READ_OF_IT]
    masked = mask(text, [found for found in find_pii(text, "US") if found[2] != "url"])
    return masked if len(masked) <= LONGEST else masked[: LONGEST - 1].rstrip() + "…"
