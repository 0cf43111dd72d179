"""Documents as ids: an end token on both sides, chats in chat form, markers in text stay text."""

from typing import Any

from tasks.chat import encode_conversation, encode_text
from tasks.documents import cut, document_end, encode_documents

CHAT = [{"role": "user", "content": "A mole."}, {"role": "assistant", "content": "The rope."}]


def test_text_and_chat_rows_keep_their_order(chat_tokenizer: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "The fox.", "metadata": {}},
        {"text": "A mole. The rope.", "metadata": {"messages": CHAT}},
        {"text": "<|endoftext|>", "metadata": {"messages": []}},
    ]
    first, chat, marker = encode_documents(chat_tokenizer, rows)
    assert document_end(chat_tokenizer) == 1
    assert first == [1, *encode_text(chat_tokenizer, ["The fox."])[0], 1]
    assert chat == [1, *encode_conversation(chat_tokenizer, CHAT)[0], 1]
    assert marker.count(1) == 2
    assert chat_tokenizer.decode(marker[1:-1]) == "<|endoftext|>"


def test_a_cut_row_still_predicts_context_tokens() -> None:
    assert cut([[1, 2, 3, 4, 5], [1, 2]], context=3) == [[1, 2, 3, 4], [1, 2]]
