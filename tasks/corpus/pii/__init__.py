"""Personal data and secrets in text: found by small named rules, then masked."""

from tasks.corpus.pii.find import find_pii
from tasks.corpus.pii.mask import mask, mask_messages
from tasks.corpus.pii.rule import Span

__all__ = ["Span", "find_pii", "mask", "mask_messages"]
