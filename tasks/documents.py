"""Documents as token ids: what pretraining learns, and what perplexity is measured on."""

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from tasks.chat import END_OF_TEXT, encode_conversations, encode_text, token_id


def document_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id that separates documents: ``<|endoftext|>``, or the tokenizer's end token where it has none."""
    found = token_id(tokenizer, END_OF_TEXT)
    return int(tokenizer.eos_token_id) if found is None else found


def encode_documents(tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Rows of a corpus as ``<|endoftext|> text <|endoftext|>``.

    The first id is what a document is predicted from, the last is predicted: a document of n ids has n-1
    predicted tokens, all of its text and its end. A row whose metadata has ``messages`` is encoded as a chat.
    """
    end = document_end(tokenizer)
    chats = [row["metadata"].get("messages") for row in rows]
    texts = iter(encode_text(tokenizer, [row["text"] for row, chat in zip(rows, chats, strict=True) if not chat]))
    spoken = iter(encode_conversations(tokenizer, [chat for chat in chats if chat]))
    return [[end, *(next(spoken)[0] if chat else next(texts)), end] for chat in chats]


def cut(rows: Iterable[list[int]], context: int) -> list[list[int]]:
    """The beginning of rows that are longer than a model with ``context`` positions can read and predict."""
    return [row[: context + 1] for row in rows]
