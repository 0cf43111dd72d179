"""Documents that were dropped, as the page shows them: report.json holds them short, with personal data masked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.report.numbers import aligned_percent


@dataclass(frozen=True)
class Example:
    """A document, or a span of one, that was dropped. about: what else is known of it."""

    id: str
    source: str
    about: str
    text: str


def example(row: Mapping[str, Any]) -> Example:
    """A rejected document of report.json's examples."""
    about = f"duplicate of {row['duplicate_of']}" if row.get("duplicate_of") else ""
    return Example(str(row["id"]), str(row["source"]), about, str(row["text"]))


def span(row: Mapping[str, Any]) -> Example:
    """A span of a document that matches an item of an evaluation set."""
    about = f"{row['item']}, {aligned_percent(row['share'])} of its n-grams"
    return Example(str(row["document"]), str(row["source"]), about, str(row["text"]))
