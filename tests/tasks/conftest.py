"""A tokenizer trained on a few sentences, tiny models, and a corpus: small enough to build in a test; an S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

STORIES = [
    f"The {mood} {animal} finds a {thing}. The {animal} keeps the {thing}."
    for mood in ("happy", "sad", "funny")
    for animal in ("mole", "heron", "otter", "fox")
    for thing in ("rope", "bell", "hat")
]


@pytest.fixture(scope="session")
def stories() -> list[str]:
    return STORIES


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([*STORIES, "user\n", "assistant\n", "system\n"], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_tokenizer(tokenizer_folder: Path) -> Any:
    from tasks.chat import load_tokenizer

    return load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """make_model("llama" or "gpt2", vocabulary, seed): two layers of width 32, large initial weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    def make(kind: str = "llama", vocabulary: int = 340, seed: int = 0) -> Any:
        torch.manual_seed(seed)
        shared: dict[str, Any] = {"vocab_size": vocabulary, "initializer_range": 0.3, "pad_token_id": 0}
        shared |= {"eos_token_id": 1, "bos_token_id": 1, "tie_word_embeddings": True}
        if kind == "gpt2":
            return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, **shared)).eval()
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        return LlamaForCausalLM(LlamaConfig(**small, max_position_embeddings=128, **shared)).eval()

    return make


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    """All stories but six for training, those six held out."""
    from tasks.corpus_shards import write_shards

    def rows(texts: list[str]) -> list[dict[str, Any]]:
        return [{"id": t, "text": t, "source": "s", "language": "en", "metadata": {}} for t in texts]

    folder = tmp_path / "corpus"
    write_shards(folder, "train", rows(STORIES[:-6]), 10)
    write_shards(folder, "heldout", rows(STORIES[-6:]), 10)
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3 server on the loopback, with one bucket."""
    pytest.importorskip("moto.server", reason="pip install 'moto[server]' s3fs")
    s3fs = pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket")
    yield "s3://bucket"
    server.stop()
    patch.undo()
