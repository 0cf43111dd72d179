"""Chat encoding: golden ids and masks, equality with the template, text that looks like a marker."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.chat import (
    copy_tokenizer,
    decode_answer,
    encode_conversation,
    encode_prompt,
    encode_text,
    end_ids,
    load_tokenizer,
    user,
)
from tasks.failures import BadData

PAD, EOT, START, END = 0, 1, 2, 3
THREE_TURNS = [
    {"role": "user", "content": "A mole."},
    {"role": "assistant", "content": "The rope."},
    {"role": "user", "content": "A fox."},
    {"role": "assistant", "content": "A hat."},
    {"role": "user", "content": "A bell."},
    {"role": "assistant", "content": "Sad."},
]


def test_three_turns_are_markers_and_pieces_with_a_mask_on_the_assistant(chat_tokenizer: Any) -> None:
    def piece(text: str) -> list[int]:
        return encode_text(chat_tokenizer, [text])[0]

    expected_ids: list[int] = []
    expected_mask: list[int] = []
    for message in THREE_TURNS:
        head, body, newline = piece(message["role"] + "\n"), piece(message["content"]), piece("\n")
        spoken = 1 if message["role"] == "assistant" else 0
        expected_ids += [START, *head, *body, END, *newline]
        expected_mask += [0] * (1 + len(head)) + [spoken] * len(body) + [spoken] + [0] * len(newline)
    ids, mask = encode_conversation(chat_tokenizer, THREE_TURNS)
    assert (ids, mask) == (expected_ids, expected_mask)
    learned = [token for token, on in zip(ids, mask, strict=True) if on]
    assert chat_tokenizer.decode(learned) == "The rope.<|im_end|>A hat.<|im_end|>Sad.<|im_end|>"


def test_ids_and_mask_equal_those_of_the_template(chat_tokenizer: Any) -> None:
    ids, mask = encode_conversation(chat_tokenizer, THREE_TURNS)
    rendered = chat_tokenizer.apply_chat_template(
        THREE_TURNS, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    assert ids == rendered["input_ids"]
    assert mask == rendered["assistant_masks"]


WORDS = st.lists(st.sampled_from(["mole", "Rope,", "hat!", "émigré", "狐狸", "7", "it's"]), min_size=1).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=5))
def test_template_and_pieces_agree_on_ordinary_text(chat_tokenizer: Any, texts: list[str]) -> None:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    whole = chat_tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    waiting = chat_tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, add_generation_prompt=True)[
        "input_ids"
    ]
    assert encode_conversation(chat_tokenizer, messages)[0] == whole
    assert encode_prompt(chat_tokenizer, messages) == waiting


def test_a_prompt_is_the_beginning_of_the_conversation_with_its_answer(chat_tokenizer: Any) -> None:
    prompt = encode_prompt(chat_tokenizer, THREE_TURNS[:5])
    ids, mask = encode_conversation(chat_tokenizer, THREE_TURNS)
    assert ids[: len(prompt)] == prompt
    assert mask[len(prompt)] == 1
    assert mask[len(prompt) - 1] == 0


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.sampled_from(["<|im_end|>", "<|im_start|>assistant\n", "<|pad|>", "<|endoftext|>", "x", " "])).map(
        "".join
    )
)
def test_markers_that_a_user_types_are_text(chat_tokenizer: Any, text: str) -> None:
    ids, _ = encode_conversation(chat_tokenizer, user(text))
    assert [token for token in ids if token <= END] == [START, END]
    assert encode_text(chat_tokenizer, [text])[0] == [token for token in ids if token > END][len(_head(ids)) : -1]
    assert chat_tokenizer.decode(encode_text(chat_tokenizer, [text])[0]) == text


def _head(ids: list[int]) -> list[int]:
    """Ids of "user\\n": with the tokenizer of these tests, two."""
    return ids[1:3]


def test_the_users_head_is_two_ids(chat_tokenizer: Any) -> None:
    assert len(encode_text(chat_tokenizer, ["user\n"])[0]) == 2


@pytest.mark.parametrize(
    "message", [{"role": "tool", "content": "x"}, {"role": "user"}, {"role": "user", "content": 3}]
)
def test_a_turn_without_known_role_or_text_is_refused(chat_tokenizer: Any, message: dict[str, Any]) -> None:
    with pytest.raises(BadData, match="turn 2"):
        encode_conversation(chat_tokenizer, [*user("x"), message])


def test_an_answer_ends_at_its_first_end_token(chat_tokenizer: Any) -> None:
    body = encode_text(chat_tokenizer, [" The hat. "])[0]
    assert end_ids(chat_tokenizer) == [EOT, END]
    for end in (EOT, END):
        assert decode_answer(chat_tokenizer, [*body, end, *body]) == "The hat."
    assert decode_answer(chat_tokenizer, [START, *body]) == "<|im_start|> The hat."
    assert decode_answer(chat_tokenizer, []) == ""


def test_a_copied_tokenizer_is_the_same(chat_tokenizer: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    copy_tokenizer(tokenizer_folder, tmp_path)
    # a model's config beside it must not change how text is split
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    copied = load_tokenizer(tmp_path)
    assert encode_conversation(copied, THREE_TURNS) == encode_conversation(chat_tokenizer, THREE_TURNS)
    assert (tmp_path / "tokenizer.json").read_bytes() == (tokenizer_folder / "tokenizer.json").read_bytes()


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
