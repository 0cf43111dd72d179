"""The tokenizer stage: round trip, special tokens, determinism, a base's tokenizer taken over."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from configs.schema.tokenizer import TokenizerConfig
from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS, encode_conversation, encode_text, load_tokenizer
from tasks.corpus_shards import write_shards
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import EVENTS, Live
from tasks.tokenizer import texts, train_tokenizer

TEXT = "The old mill stands by the river, and the miller's 12 dogs run home in the evening. 老磨坊在河边。\n"


def corpus(folder: Path, train: list[str], heldout: list[str], metadata: dict[str, Any] | None = None) -> Path:
    for split, documents in (("train", train), ("heldout", heldout)):
        rows = [
            {"id": str(n), "text": text, "source": "s", "language": "en", "metadata": metadata or {}}
            for n, text in enumerate(documents)
        ]
        write_shards(folder, "train" if split == "train" else "heldout", rows, 1000)
    return folder


def train(folder: Path, data: Path, **config: Any) -> tuple[Path, dict[str, Any]]:
    out, work = folder / "out", folder / "work"
    out.mkdir(parents=True)
    work.mkdir()
    return out, train_tokenizer(TokenizerConfig(**config), Inputs(folders={"corpus": data}), out, Live(work))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("made")
    data = corpus(folder / "corpus", [f"{TEXT}{n} {TEXT}" for n in range(30)], [TEXT, "A mill."])
    return train(folder, data, vocabulary=320)


@pytest.fixture(scope="module")
def tokenizer(made: tuple[Path, dict[str, Any]]) -> PreTrainedTokenizerBase:
    return load_tokenizer(made[0])


def test_special_tokens_come_first_and_all_bytes_are_there(made, tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS) == [0, 1, 2, 3]
    assert (tokenizer.pad_token, tokenizer.eos_token) == (SPECIAL_TOKENS[0], SPECIAL_TOKENS[1])
    assert made[1]["vocabulary"] == len(tokenizer) == 320
    assert tokenizer.chat_template == CHAT_TEMPLATE


@given(st.one_of(st.text(), st.text(alphabet="老磨坊在河边。 a\n'12"), st.sampled_from(SPECIAL_TOKENS)))
@settings(max_examples=200, deadline=None)
def test_round_trip(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = encode_text(tokenizer, [text])[0]
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert not {0, 1, 2, 3} & set(ids)


def test_every_byte_has_a_token(tokenizer: PreTrainedTokenizerBase) -> None:
    ascii_text = "".join(map(chr, range(128)))
    wide = "".join(chr(code) for code in range(0x80, 0x800)) + "\u0800\uffff\U00010000\U0010ffff"
    for text in (ascii_text, wide):
        assert tokenizer.decode(encode_text(tokenizer, [text])[0]) == text
    single = {token for token in tokenizer.get_vocab() if len(token) == 1}
    assert len(single) == 256


def test_metrics_worked_by_hand(made, tokenizer: PreTrainedTokenizerBase) -> None:
    heldout = [TEXT, "A mill."]
    tokens = sum(map(len, encode_text(tokenizer, heldout)))
    assert made[1]["bytes_per_token"] == round(sum(len(text.encode()) for text in heldout) / tokens, 4)
    used = {token for ids in encode_text(tokenizer, [f"{TEXT}{n} {TEXT}" for n in range(30)]) for token in ids}
    assert made[1]["unused_tokens"] == 320 - len(used)


def test_conversations_train_on_their_messages(tmp_path: Path) -> None:
    messages = {"messages": [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "defg"}]}
    data = corpus(tmp_path, ["a transcript"], ["x"], messages)
    assert list(texts(data, "train", 100)) == ["abc", "defg"]
    assert list(texts(data, "train", 5)) == ["abc", "de"]


def test_small_corpus_gives_fewer_tokens_and_says_so(tmp_path: Path) -> None:
    data = corpus(tmp_path / "corpus", ["aaa bbb"], ["a"])
    _, metrics = train(tmp_path, data, vocabulary=5000)
    assert 260 <= metrics["vocabulary"] < 5000
    events = (tmp_path / "work" / EVENTS).read_text()
    assert f"{metrics['vocabulary']} tokens, fewer than tokenizer.vocabulary=5000" in events


def test_no_training_text_is_bad_data(tmp_path: Path) -> None:
    data = corpus(tmp_path / "corpus", [], ["held out"])
    with pytest.raises(BadData, match="no training document"):
        train(tmp_path, data)


def test_threads_do_not_change_the_files(tmp_path: Path) -> None:
    data = corpus(tmp_path / "corpus", [f"{TEXT}{n**3} mill{n % 7} {TEXT[::-1]}" for n in range(300)], [TEXT])
    program = (
        "import sys; from pathlib import Path; from configs.schema.tokenizer import TokenizerConfig\n"
        "from tasks.tokenizer import texts, train_bpe\n"
        "tokenizer = train_bpe(texts(Path(sys.argv[1]), 'train', 10**9), TokenizerConfig(vocabulary=700), ['<s>'])\n"
        "print(tokenizer.to_str())"
    )
    digests = set()
    for parallel, threads in (("false", "1"), ("true", "5")):
        env = {**os.environ, "TOKENIZERS_PARALLELISM": parallel, "RAYON_NUM_THREADS": threads}
        made = subprocess.run(
            [sys.executable, "-c", program, str(data)],
            env=env,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        )
        assert b'"vocab"' in made.stdout
        digests.add(hashlib.sha256(made.stdout).hexdigest())
    assert len(digests) == 1


def test_base_tokenizer_is_taken_over(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base without chat tokens gets them after its own; one that has them keeps its ids."""
    base = PreTrainedTokenizerFast.from_pretrained(made[0])
    plain = PreTrainedTokenizerFast(tokenizer_object=_without_chat(made[0]), eos_token="<|endoftext|>")
    data = corpus(tmp_path / "corpus", [TEXT], [TEXT])
    resolved: dict[str, PreTrainedTokenizerBase] = {"chat": base, "plain": plain}
    module = SimpleNamespace(resolve_base=lambda name: SimpleNamespace(load_tokenizer=lambda: resolved[name]))
    monkeypatch.setitem(sys.modules, "tasks.base_model", module)
    before = len(plain)
    same, metrics = train(tmp_path / "a", data, base="chat")
    assert metrics["vocabulary"] == 320
    assert load_tokenizer(same).get_vocab() == base.get_vocab()
    grown, _ = train(tmp_path / "b", data, base="plain")
    loaded = load_tokenizer(grown)
    assert loaded.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|pad|>"]) == [before, before + 1, before + 2]
    assert loaded.eos_token == "<|endoftext|>"
    ids, mask = encode_conversation(loaded, [{"role": "user", "content": "mill"}])
    assert ids[0] == before
    assert sum(mask) == 0


def _without_chat(folder: Path) -> Any:
    import json

    from tokenizers import Tokenizer

    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] == "<|endoftext|>"]
    content["model"]["vocab"] = {
        token: index
        for index, token in enumerate(
            token for token in content["model"]["vocab"] if token == "<|endoftext|>" or token not in SPECIAL_TOKENS
        )
    }
    content["added_tokens"][0]["id"] = content["model"]["vocab"]["<|endoftext|>"]
    return Tokenizer.from_str(json.dumps(content))


@pytest.mark.parametrize(
    ("digits", "pieces"), [("three", ["123", "45"]), ("individual", ["1", "2", "3", "4", "5"]), ("any", ["12345"])]
)
def test_numbers_are_cut_as_asked(tmp_path: Path, digits: Any, pieces: list[str]) -> None:
    data = corpus(tmp_path / "corpus", [f"room 12345 has {n % 2} 12345 {TEXT}" for n in range(40)], [TEXT])
    out, _ = train(tmp_path, data, vocabulary=600, digits=digits)
    loaded = load_tokenizer(out)
    assert [loaded.decode([token]) for token in encode_text(loaded, ["12345"])[0]] == pieces
    assert loaded.decode(encode_text(loaded, [TEXT + " 12345"])[0]) == TEXT + " 12345"


def test_the_default_split_is_gpt4s(made: tuple[Path, dict[str, Any]]) -> None:
    import json

    split = json.loads((made[0] / "tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"][0]
    assert split["pattern"]["Regex"] == (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def test_more_special_tokens_come_after_ours_and_are_text_in_documents(tmp_path: Path) -> None:
    data = corpus(tmp_path / "corpus", [f"<|tool|> {TEXT}{n}" for n in range(30)], [TEXT])
    out, metrics = train(tmp_path, data, vocabulary=330, special_tokens=["<|tool|>", "<|think|>", "<|im_end|>"])
    loaded = load_tokenizer(out)
    assert metrics["vocabulary"] == 330
    assert loaded.convert_tokens_to_ids([*SPECIAL_TOKENS, "<|tool|>", "<|think|>"]) == [0, 1, 2, 3, 4, 5]
    assert {"<|tool|>", "<|think|>"} <= set(loaded.all_special_tokens)
    assert min(encode_text(loaded, ["<|tool|><|think|>"])[0]) > 5
    assert loaded("<|tool|>")["input_ids"] == [4]
    again, _ = train(tmp_path / "again", data, vocabulary=330, special_tokens=["<|tool|>", "<|think|>", "<|im_end|>"])
    assert (again / "tokenizer.json").read_bytes() == (out / "tokenizer.json").read_bytes()


def test_more_special_tokens_for_a_base(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = PreTrainedTokenizerFast.from_pretrained(made[0])
    before = len(base)
    module = SimpleNamespace(resolve_base=lambda name: SimpleNamespace(load_tokenizer=lambda: base))
    monkeypatch.setitem(sys.modules, "tasks.base_model", module)
    data = corpus(tmp_path / "corpus", [TEXT], [TEXT])
    out, _ = train(tmp_path, data, base="given", special_tokens=["<|tool|>", "<|im_end|>"])
    loaded = load_tokenizer(out)
    assert loaded.convert_tokens_to_ids(["<|im_end|>", "<|tool|>"]) == [3, before]
    assert len(loaded) == before + 1


def test_special_tokens_are_checked() -> None:
    for config, said in (
        ({"special_tokens": ["<a>", "<a>"]}, "named twice"),
        ({"special_tokens": [" "]}, "empty"),
        ({"special_tokens": ["<a>"], "vocabulary": 264}, "at least 265"),
    ):
        with pytest.raises(ValueError, match=said):
            TokenizerConfig(**config)  # type: ignore[arg-type]
