"""Personal data, word lists and classifiers: mask in place, or a reason to drop; every hit is counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from configs.schema.corpus import CorpusConfig
from configs.schema.screen import PiiConfig
from tasks.corpus.classifiers import load_classifier
from tasks.corpus.document import Document
from tasks.corpus.language import detect, unwanted
from tasks.corpus.pii import Span, find_pii, mask, mask_messages
from tasks.corpus.terms import read_terms
from tasks.inputs import Inputs


@dataclass
class ScreenCounts:
    """hits: by kind of personal data, word list and classifier, in all documents. masked: those put out of sight."""

    hits: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    masked_documents: int = 0

    def add(self, hits: dict[str, int], masked: dict[str, int], masked_documents: int) -> None:
        """Add the counts of a shard."""
        self.hits.update(hits)
        self.masked.update(masked)
        self.masked_documents += masked_documents

    def report(self) -> dict[str, Any]:
        """The parts of report.json that come from screening."""
        kinds = set(PiiConfig.model_fields)
        hits = dict(sorted(self.hits.items()))
        return {
            "pii": {
                "items": {kind: n for kind, n in sorted(self.masked.items()) if kind in kinds},
                "documents": self.masked_documents,
                "found": {kind: number for kind, number in hits.items() if kind in kinds},
            },
            "screen": {name: number for name, number in hits.items() if name not in kinds},
        }

    def metrics(self) -> dict[str, int]:
        """Hits by kind: pii_email, screen_NAME."""
        report = self.report()
        return {f"pii_{kind}": number for kind, number in report["pii"]["found"].items()} | {
            f"screen_{name}": number for name, number in report["screen"].items()
        }


class Screen:
    """What the config asks to be screened, with counts that the caller may exchange."""

    def __init__(self, config: CorpusConfig, inputs: Inputs) -> None:
        """Raises BadData for an unsound word list, BadConfig for a classifier that is not installed."""
        self.config = config
        self.counts = ScreenCounts()
        self.actions: dict[str, str] = dict(config.pii)
        self.wanted = any(action != "keep" for action in self.actions.values())
        self.lists = {
            item.name: (item, read_terms(item.name, inputs.sources[item.path][0])) for item in config.screen.word_lists
        }
        self.actions |= {item.name: item.action for item in config.screen.word_lists}
        self.classifiers = [(item, load_classifier(item)) for item in config.screen.classifiers]

    def language(self, document: Document, tag: str) -> str | None:
        """Set the document's language: the source's tag, or the detected one. The reason to drop it, if any."""
        document.language = tag
        if self.config.language is None:
            return None
        document.language, certainty = detect(document.text)
        return "language" if unwanted(document.language, certainty, self.config.language) else None

    def reason(self, document: Document) -> str | None:
        """Mask what is to be masked, in text and messages; or the reason to drop the document, unchanged."""
        spans = self._spans(document.text)
        turns = [self._spans(message["content"]) for message in document.metadata.get("messages", [])]
        # The text of a conversation repeats its messages: an item is counted once.
        hits = _kinds([span for turn in turns for span in turn]) | _kinds(spans)
        classified = self._classified(document.text)
        self.counts.hits.update(hits + Counter(classified.keys()))
        if (reason := self._dropped(hits, classified)) is not None:
            return reason
        if any(self.actions[kind] == "mask" for kind in hits):
            self._mask(document, spans)
        return None

    def _spans(self, text: str) -> list[Span]:
        spans = find_pii(text, self.config.phone_region) if self.wanted else []
        for _, terms in self.lists.values():
            spans = spans + terms.find(text)
        return sorted(spans, key=lambda span: (span[0], -span[1])) if self.lists else spans

    def _classified(self, text: str) -> dict[str, str]:
        """Action of each classifier that calls the text what it looks for."""
        return {item.name: item.action for item, score in self.classifiers if score(text) >= item.threshold}

    def _dropped(self, hits: Counter[str], classified: dict[str, str]) -> str | None:
        for kind in sorted(hits):
            if self.actions[kind] != "drop":
                continue
            if kind not in self.lists:
                return f"pii_{kind}"
            if hits[kind] > self.lists[kind][0].max_hits:
                return f"screen_{kind}"
        return next((f"screen_{name}" for name in sorted(classified) if classified[name] == "drop"), None)

    def _mask(self, document: Document, spans: list[Span]) -> None:
        hidden = self._hidden(spans)
        metadata, items = mask_messages(document.metadata, lambda text: self._hidden(self._spans(text)))
        document.text = mask(document.text, hidden)
        # The generator's log-probability was that of the text before masking.
        document.metadata = {key: value for key, value in metadata.items() if key != "nats"}
        self.counts.masked += items | _kinds(hidden)
        self.counts.masked_documents += 1

    def _hidden(self, spans: list[Span]) -> list[Span]:
        return [span for span in spans if self.actions[span[2]] == "mask"]


def _kinds(spans: list[Span]) -> Counter[str]:
    return Counter(kind for _, _, kind in spans)
