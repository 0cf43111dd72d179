"""The tokenizer stage: a byte-level BPE trained on the corpus, or the base model's own.

Any text survives a round trip, since all 256 bytes are tokens; the text of a special token inside a document is
encoded as ordinary text.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from configs.schema.tokenizer import TokenizerConfig
from tasks.corpus_shards import Split, read_shards
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.tokens.splits import split_pattern

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 1000  # documents encoded at once
MEASURED = 5_000_000  # characters of each split that the metrics are taken on


def train_tokenizer(config: TokenizerConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write a Hugging Face tokenizer folder with our chat template.

    Metrics: vocabulary (tokens, special ones included), bytes_per_token (held-out text, or training text when
    nothing is held out), unused_tokens (not met in the first `MEASURED` characters of training text).
    Raises BadData when the corpus has no training text.
    """
    corpus = inputs.folders["corpus"]
    if config.base is None:
        tokenizer = _train(config, corpus, live)
    else:
        tokenizer = _take_over(config.base, config.special_tokens, live)
    tokenizer.save_pretrained(out)
    live.progress(len(tokenizer), len(tokenizer), "tokens")
    return _measure(tokenizers.Tokenizer.from_file(str(out / "tokenizer.json")), corpus)


def train_bpe(corpus: Iterator[str], config: TokenizerConfig, special_tokens: list[str]) -> tokenizers.Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; bytes after Radford et al. 2019); special tokens get the first ids.

    Raises BadData when there is no text.
    """
    first = next(corpus, None)
    if first is None:
        raise BadData("the corpus has no training document: look at report.json of the corpus stage")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(split_pattern(config.digits)), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        min_frequency=config.min_frequency,
        special_tokens=special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_chain(first, corpus), trainer)
    return tokenizer


def texts(corpus: Path, split: Split, characters: int) -> Iterator[str]:
    """Texts of a split, from the start, up to ``characters`` in all; a conversation's messages instead of its text."""
    left = characters
    for row in read_shards(corpus, split):
        for text in _texts_of(row):
            if left <= 0:
                return
            yield text[:left]
            left -= len(text)


def _texts_of(row: dict[str, Any]) -> list[str]:
    messages = row["metadata"].get("messages")
    return [row["text"]] if not messages else [message["content"] for message in messages]


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _train(config: TokenizerConfig, corpus: Path, live: Live) -> "PreTrainedTokenizerBase":
    """A tokenizer of our own; a corpus too small for the vocabulary gives a smaller one, and a line that says so."""
    from transformers import PreTrainedTokenizerFast

    from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS

    live.progress(0, config.vocabulary, "tokens")
    special = [*SPECIAL_TOKENS, *(token for token in config.special_tokens if token not in SPECIAL_TOKENS)]
    trained = train_bpe(texts(corpus, "train", config.train_characters), config, special)
    reached = trained.get_vocab_size()
    if reached < config.vocabulary:
        live.say(
            f"the corpus gives {reached} tokens, fewer than tokenizer.vocabulary={config.vocabulary}: no further "
            f"pair occurs tokenizer.min_frequency={config.min_frequency} times"
        )
    pad, end_of_text, *others = special
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        pad_token=pad,
        eos_token=end_of_text,
        additional_special_tokens=others,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _take_over(base: str, more: list[str], live: Live) -> "PreTrainedTokenizerBase":
    """The base's tokenizer with our chat template; tokens are added only where it lacks them."""
    from tasks.base_model import resolve_base
    from tasks.chat import add_chat

    tokenizer = resolve_base(base).load_tokenizer()
    before = len(tokenizer)
    add_chat(tokenizer, more)
    if len(tokenizer) > before:
        live.say(f"{len(tokenizer) - before} special tokens added to the {before} of {base}")
    return tokenizer


def _measure(tokenizer: tokenizers.Tokenizer, corpus: Path) -> dict[str, Any]:
    tokenizer.encode_special_tokens = True  # a document's "<|im_end|>" is text
    vocabulary = tokenizer.get_vocab_size()
    used, train_tokens, train_bytes = _encode(tokenizer, texts(corpus, "train", MEASURED))
    _, tokens, size = _encode(tokenizer, texts(corpus, "heldout", MEASURED))
    if tokens == 0:
        tokens, size = train_tokens, train_bytes
    return {
        "vocabulary": vocabulary,
        "bytes_per_token": round(size / max(tokens, 1), 4),
        "unused_tokens": vocabulary - len(used),
    }


def _encode(tokenizer: tokenizers.Tokenizer, corpus: Iterator[str]) -> tuple[set[int], int, int]:
    """Token ids met, number of tokens, number of UTF-8 bytes."""
    used: set[int] = set()
    tokens = size = 0
    while batch := list(islice(corpus, BATCH)):
        for text, encoded in zip(batch, tokenizer.encode_batch_fast(batch, add_special_tokens=False), strict=True):
            used.update(encoded.ids)
            tokens += len(encoded.ids)
            size += len(text.encode())
    return used, tokens, size
