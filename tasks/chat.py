"""Conversations as token ids: ChatML, one template for training, sampling and everybody else's tools.

    <|im_start|>user
    Write a story.<|im_end|>
    <|im_start|>assistant
    Once …<|im_end|>

Text is encoded piece by piece between the markers, with special tokens split: what a user types is never a
marker. For text without markers the ids equal those of the template in the tokenizer's folder.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tasks.failures import BadData

PAD, END_OF_TEXT, START, END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = [PAD, END_OF_TEXT, START, END]
"""Ids 0 to 3 of a tokenizer of ours. END_OF_TEXT begins and ends a document."""

ROLES = ("system", "user", "assistant")
# The generation block marks what the assistant says: other tools' assistant_only_loss reads it
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|im_start|>assistant\\n' -}}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{{- '\\n' -}}"
    "{%- else -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved in a folder; nothing is fetched and no code of the folder is run.

    Raises BadData when the folder has no tokenizer.json, or the tokenizer lacks a pad, end or chat token.
    """
    if not (folder / "tokenizer.json").is_file():
        raise BadData(f"{folder.name}: no tokenizer.json, so it is not the output of the tokenizer stage")
    # Not AutoTokenizer: beside a model's config.json it picks that model's class and its own text splitting
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    missing = [token for token in (START, END) if token_id(tokenizer, token) is None]
    if missing:
        raise BadData(f"the tokenizer has no {' and no '.join(missing)}: make it with the tokenizer stage")
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise BadData("the tokenizer names no pad token or no end token: make it with the tokenizer stage")
    tokenizer.model_max_length = int(1e30)  # lengths are checked by the stages, which name the setting
    return tokenizer


def add_chat(tokenizer: PreTrainedTokenizerBase, more: Sequence[str] = ()) -> None:
    """Give a tokenizer made elsewhere our chat template, and the tokens that it lacks; ``more`` are added too."""
    pad, end_of_text, *chat = SPECIAL_TOKENS
    known = tokenizer.get_vocab()
    missing = [token for token in chat if token not in known]
    missing += [token for token in more if token not in [*missing, *tokenizer.all_special_tokens]]
    if missing:
        tokenizer.add_special_tokens({"additional_special_tokens": missing}, replace_extra_special_tokens=False)
    if tokenizer.eos_token is None:
        tokenizer.add_special_tokens({"eos_token": end_of_text})
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": pad})
    tokenizer.chat_template = CHAT_TEMPLATE


def copy_tokenizer(source: Path, target: Path) -> None:
    """Put the tokenizer's files beside a model, byte for byte."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def user(prompt: str) -> list[dict[str, str]]:
    """A conversation of one user turn."""
    return [{"role": "user", "content": prompt}]


def encode_text(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Ids of plain texts. Nothing is added, and the text of a special token is only text."""
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return [list(ids) for ids in encoded["input_ids"]]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]) -> list[int]:
    """Ids of a conversation that waits for the assistant: ends with ``<|im_start|>assistant\\n``."""
    ids, _ = encode_conversation(tokenizer, messages)
    return [*ids, _marker(tokenizer, START), *encode_text(tokenizer, ["assistant\n"])[0]]


def encode_conversation(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]
) -> tuple[list[int], list[int]]:
    """Ids of whole turns, and a mask: 1 on what the assistant says and on its ``<|im_end|>``, else 0.

    The newline after ``<|im_end|>`` is not the assistant's: sampling stops before it.
    Raises BadData for a turn without a known role or without text.
    """
    return encode_conversations(tokenizer, [messages])[0]


def encode_conversations(
    tokenizer: PreTrainedTokenizerBase, conversations: list[list[dict[str, str]]]
) -> list[tuple[list[int], list[int]]]:
    """``encode_conversation`` of each, in one call of the tokenizer."""
    pieces = ["\n"]
    for messages in conversations:
        for number, message in enumerate(messages, start=1):
            if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
                raise BadData(f"turn {number} of a conversation: role {message.get('role')!r}, expected one of {ROLES}")
            pieces += [message["role"] + "\n", message["content"]]
    newline, *encoded = encode_text(tokenizer, pieces)
    start, end = _marker(tokenizer, START), _marker(tokenizer, END)
    texts = iter(encoded)
    results = []
    for messages in conversations:
        ids: list[int] = []
        mask: list[int] = []
        for message in messages:
            role, content = next(texts), next(texts)
            spoken = int(message["role"] == "assistant")
            ids += [start, *role, *content, end, *newline]
            mask += [0] * (1 + len(role)) + [spoken] * (len(content) + 1) + [0] * len(newline)
        results.append((ids, mask))
    return results


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int | None:
    """Id of a token by its exact text, None where the vocabulary has none. Not get_vocab: that copies it."""
    found = cast(int | None, tokenizer.convert_tokens_to_ids(token))
    unknown = found == tokenizer.unk_token_id and token != tokenizer.unk_token
    return None if found is None or unknown else int(found)


def _marker(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    found = token_id(tokenizer, token)
    if found is None:
        raise BadData(f"the tokenizer has no {token}: make it with the tokenizer stage")
    return found


def end_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that end an answer: ``<|im_end|>``, the tokenizer's end token, and the end of a document."""
    known = [token_id(tokenizer, token) for token in (END, END_OF_TEXT)]
    return sorted({int(tokenizer.eos_token_id), *(found for found in known if found is not None)})


def decode_answer(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """Text of an answer up to its end token, without surrounding blanks. Other markers stay visible."""
    ends = set(end_ids(tokenizer))
    length = next((index for index, token in enumerate(ids) if token in ends), len(ids))
    return str(tokenizer.decode(ids[:length], skip_special_tokens=False, clean_up_tokenization_spaces=False)).strip()
