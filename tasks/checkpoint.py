"""Training checkpoints that survive a kill: verified by digest, tensors as safetensors, the rest as JSON.

    checkpoints/step-00000100/{tensors.safetensors, values.json, digests.json}

A folder gets its name by one rename after everything in it is on the disk; a torn or changed one is skipped.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

TENSORS, VALUES, DIGESTS = "tensors.safetensors", "values.json", "digests.json"


@dataclass(frozen=True)
class Checkpoint:
    """State after ``step`` optimiser steps."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix.``, under the rest of their names."""
        head = f"{prefix}."
        return {name[len(head) :]: tensor for name, tensor in self.tensors.items() if name.startswith(head)}


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], values: dict[str, Any], keep: int) -> None:
    """Write one checkpoint and remove all but the ``keep`` newest.

    Checkpoints of later steps are leftovers of a state that could not be loaded, and are removed as well.
    Keys of dicts in ``values`` come back as strings, tuples as lists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover)
    new = folder / f".new-{step:08d}"
    new.mkdir()
    save_file(_apart(tensors), new / TENSORS)
    (new / VALUES).write_text(json.dumps({"step": step, "values": values}), encoding="utf-8")
    digests = {name: _sha256(new / name) for name in (TENSORS, VALUES)}
    (new / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
    for name in (TENSORS, VALUES, DIGESTS, "."):
        _sync(new / name)
    target = folder / f"step-{step:08d}"
    if target.exists():
        target.rename(folder / f".old-{step:08d}")
    new.rename(target)
    _sync(folder)
    found = _steps(folder)
    stale = [old for old in found if old > step] + [old for old in found if old <= step][keep:]
    for old in stale:
        shutil.rmtree(folder / f"step-{old:08d}")
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose digests agree, or None. Others are skipped, with a line naming the file."""
    for step in _steps(folder):
        path = folder / f"step-{step:08d}"
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            print(f"checkpoint {path.name} is skipped: {error}", flush=True)
    return None


def _load(path: Path) -> Checkpoint:
    digests = json.loads((path / DIGESTS).read_text(encoding="utf-8"))
    for name in (TENSORS, VALUES):
        found = _sha256(path / name)
        if digests[name] != found:
            raise ValueError(f"{path / name} has SHA-256 {found[:12]}…, {DIGESTS} says {digests[name][:12]}…")
    document = json.loads((path / VALUES).read_text(encoding="utf-8"))
    return Checkpoint(document["step"], load_file(path / TENSORS), document["values"])


def _steps(folder: Path) -> list[int]:
    """Steps that have a folder, newest first."""
    names = [path.name.removeprefix("step-") for path in folder.glob("step-*")]
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU, each with memory of its own, as safetensors asks."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class StopRequest:
    """Notices SIGTERM, so that a training loop can save before it ends.

    ``with StopRequest() as stop`` … ``if stop.agreed()``. Outside the main thread signals cannot be watched.
    """

    asked = False

    def agreed(self) -> bool:
        """Whether any process of the training was asked. Every process must call it, and all get the same answer:
        one that left a step before the others would leave them waiting for it until they are killed, unsaved.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return self.asked
        on_gpu = torch.cuda.is_available() and "nccl" in dist.get_backend()
        flag = torch.tensor(int(self.asked), device="cuda" if on_gpu else "cpu")
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def __enter__(self) -> "StopRequest":
        self._watching = threading.current_thread() is threading.main_thread()
        if self._watching:
            self._before = signal.signal(signal.SIGTERM, self._notice)
        return self

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        if self._watching:
            signal.signal(signal.SIGTERM, self._before)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State of an optimiser as tensors named ``prefix.INDEX.NAME``, and JSON values."""
    state = optimizer.state_dict()
    tensors, plain = {}, {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}.{index}.{name}"] = value
            else:
                plain[f"{index}.{name}"] = value
    return tensors, {"groups": state["param_groups"], "plain": plain}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], values: dict[str, Any], prefix: str
) -> None:
    """Put back what ``optimizer_tensors`` gave; ``tensors`` may hold others beside."""
    state: dict[int, dict[str, Any]] = {}
    head = f"{prefix}."
    named = {name[len(head) :]: tensor for name, tensor in tensors.items() if name.startswith(head)}
    for name, value in {**named, **values["plain"]}.items():
        index, entry = name.split(".", 1)
        state.setdefault(int(index), {})[entry] = value
    groups = [
        {key: tuple(value) if key == "betas" else value for key, value in group.items()} for group in values["groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def rng_tensors() -> dict[str, Tensor]:
    """State of the generators of torch (CPU and each CUDA device), numpy and Python, named ``rng.…``."""
    tensors = {"rng.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"rng.cuda.{index}"] = state
    _, keys, position, has_gauss, gauss = np.random.get_state()
    tensors["rng.numpy"] = torch.from_numpy(np.asarray(keys, dtype=np.int64))
    tensors["rng.numpy.rest"] = torch.tensor([position, has_gauss, gauss], dtype=torch.float64)
    version, inner, next_gauss = random.getstate()
    tensors["rng.python"] = torch.tensor([version, *inner], dtype=torch.int64)
    tensors["rng.python.gauss"] = torch.tensor([] if next_gauss is None else [next_gauss], dtype=torch.float64)
    return tensors


def restore_rng(tensors: dict[str, Tensor]) -> None:
    """Put back what ``rng_tensors`` gave; CUDA states only for devices that exist."""
    torch.set_rng_state(tensors["rng.torch"])
    for index in range(torch.cuda.device_count()):
        if f"rng.cuda.{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"rng.cuda.{index}"], index)
    position, has_gauss, gauss = tensors["rng.numpy.rest"].tolist()
    keys = tensors["rng.numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), gauss))
    version, *inner = tensors["rng.python"].tolist()
    next_gauss = tensors["rng.python.gauss"].tolist()
    random.setstate((version, tuple(inner), next_gauss[0] if next_gauss else None))
