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

    def metadata_json(self) -> str:
        """Metadata as a shard holds it."""
        return metadata_json(self.metadata)


def text_id(text: str) -> str:
    """Id of a document whose row gives none: 16 hex digits of the text's hash."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def folded_digest(text: str) -> bytes:
    """Hash of the text with case and white space folded: equal for exact duplicates."""
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()


def tie_of(document: Document) -> int:
    """Orders documents of one source with the same id and the same folded text by what they hold."""
    content = f"{document.metadata_json()}\0{document.text}"
    return int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "little")


def share_of(digest: bytes, purpose: str, seed: int) -> float:
    """A number in [0, 1) drawn from content, purpose and seed: split, mix and shuffle need no generator state."""
    mixed = blake2b(digest, digest_size=8, person=purpose.encode()[:16], salt=seed.to_bytes(8, "little"))
    return int.from_bytes(mixed.digest(), "little") / 2**64
