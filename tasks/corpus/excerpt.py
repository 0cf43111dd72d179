"""Beginnings of documents as they may be shown: short, and with personal data masked.

A report is shown to more people than the corpus, and rejects are written as they were read.
"""

from tasks.corpus.pii import find_pii, mask

LONGEST = 480  # characters of an excerpt
READ_OF_IT = 2000  # characters that are searched for personal data: more than are shown


def excerpt(text: str, region: str = "US") -> str:
    """The beginning of a text. region: of telephone numbers without a country code."""
    text = text[:READ_OF_IT]
    masked = mask(text, [found for found in find_pii(text, region) if found[2] != "url"])
    return masked if len(masked) <= LONGEST else masked[: LONGEST - 1].rstrip() + "…"
