"""Tokenizer stage: train a byte-level BPE, or take one over from the base model."""

from configs.schema.strict import Strict, setting

BASE_DOC = "Base model: folder, hub id, GGUF file, or package:NAME/FILE; empty trains from scratch."


class TokenizerConfig(Strict):
    """Byte-level BPE with chat special tokens."""

    base: str | None = setting(None, BASE_DOC, keyed=False)
    vocabulary: int = setting(8192, "Tokens, special tokens included.", unit="tokens", ge=264)
    min_frequency: int = setting(2, "A merge needs this many occurrences.", unit="pairs", ge=1)
    train_characters: int = setting(20_000_000, "Train on at most this much text.", unit="characters", ge=1)
