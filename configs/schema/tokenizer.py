"""Tokenizer stage: train a byte-level BPE, or take one over from the base model."""

from typing import Literal

from pydantic import field_validator, model_validator

from configs.schema.strict import Strict, setting

BASE_DOC = "Base model: folder, hub id, GGUF file, or package:NAME/FILE; empty trains from scratch."


class TokenizerConfig(Strict):
    """Byte-level BPE with chat special tokens."""

    base: str | None = setting(None, BASE_DOC, keyed=False)
    vocabulary: int = setting(8192, "Tokens, special tokens included.", unit="tokens", ge=264)
    min_frequency: int = setting(2, "A merge needs this many occurrences.", unit="pairs", ge=1)
    train_characters: int = setting(20_000_000, "Train on at most this much text.", unit="characters", ge=1)
    digits: Literal["three", "individual", "any"] = setting(
        "three", "A number is cut into threes from the left, into single digits, or not at all; unused with a base."
    )
    special_tokens: list[str] = setting([], "More special tokens, with ids after those of our own or of the base.")

    @field_validator("special_tokens")
    @classmethod
    def _distinct(cls, tokens: list[str]) -> list[str]:
        if any(not token.strip() for token in tokens) or len(set(tokens)) < len(tokens):
            raise ValueError("a special token is empty or named twice")
        return tokens

    @model_validator(mode="after")
    def _room(self) -> "TokenizerConfig":
        least = 264 + len(self.special_tokens)
        if self.base is None and self.vocabulary < least:
            raise ValueError(
                f"tokenizer.vocabulary={self.vocabulary} is too small with special_tokens: at least {least}"
            )
        return self
