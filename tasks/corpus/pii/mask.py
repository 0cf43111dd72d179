"""Put a typed placeholder in the place of what was found."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tasks.corpus.pii.rule import Span


def mask(text: str, spans: list[Span]) -> str:
    """The text with each span (by start) replaced by its kind in brackets; of nested spans the outer one counts."""
    pieces, last = [], 0
    for start, end, kind in spans:
        if start >= last:
            pieces += [text[last:start], f"[{kind}]"]
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
