"""Decontamination: documents that hold n-grams of evaluation items are found, with the span and the item."""

from tasks.corpus.contamination.find import Hit, Index, build_index
from tasks.corpus.contamination.report import Found, SetReport, report

__all__ = ["Found", "Hit", "Index", "SetReport", "build_index", "report"]
