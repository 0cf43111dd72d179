"""One document on its way through the corpus stage, and the hashes it is known by."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tasks.corpus_shards import metadata_json


@dataclass(slots=True)
class Document:
    """A document after normalisation.

    source: position of its source in the config. digest: 16-byte hash of its folded text, equal for exact
    duplicates; set once the text is final. compared: whether it takes part in near-duplicate removal.
    language: the source's tag, or what was detected.
    """

    id: str
    text: str
    source: int
    metadata: dict[str, Any]
    digest: bytes = b""
    compared: bool = False
    language: str = ""

    def order(self) -> tuple[int, str, bytes, str]:
        """Survivors and shards are chosen in this order, which the order of rows in a file does not touch."""
        return self.source, self.id, self.digest, metadata_json(self.metadata)


@dataclass(frozen=True, slots=True)
class Reject:
    """A document that was dropped, why, and for a duplicate the id of the one that stays."""

    document: Document
    reason: str
    duplicate_of: str | None = None


def text_id(text: str) -> str:
    """Id of a document whose row gives none: 16 hex digits of the text's hash."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def folded_digest(text: str) -> bytes:
    """Hash of the text with case and white space folded: equal for exact duplicates."""
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()


def share_of(digest: bytes, purpose: str, seed: int) -> float:
    """A number in [0, 1) drawn from content, purpose and seed: split, mix and shuffle need no generator state."""
    mixed = blake2b(digest, digest_size=8, person=purpose.encode()[:16], salt=seed.to_bytes(8, "little"))
    return int.from_bytes(mixed.digest(), "little") / 2**64
