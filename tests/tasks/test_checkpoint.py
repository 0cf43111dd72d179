"""Checkpoints: round trip to the bit, damage of any byte, order, leftovers of a kill."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.checkpoint import (
    StopRequest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)


def _save(folder: Path, step: int, keep: int = 3) -> None:
    save_checkpoint(
        folder, step, {"w": torch.full((4,), float(step))}, {"loss": step / 3, "rows": [1, {"a": None}]}, keep
    )


def test_round_trip_to_the_bit(tmp_path: Path) -> None:
    tied = torch.randn(3, 5)
    tensors = {
        "a": tied,
        "b": tied,
        "t": tied.t(),
        "i": torch.tensor([1, 2]),
        "h": tied.bfloat16(),
        "e": torch.empty(0),
    }
    save_checkpoint(tmp_path / "c", 7, tensors, {"x": 0.1 + 0.2, "n": float("inf")}, keep=1)
    loaded = load_checkpoint(tmp_path / "c")
    assert loaded is not None
    assert loaded.step == 7
    assert loaded.values == {"x": 0.1 + 0.2, "n": float("inf")}
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor), name


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize("name", ["tensors.safetensors", "values.json", "digests.json"])
@pytest.mark.parametrize("place", [0.0, 0.4, 0.999])
def test_a_flipped_byte_falls_back_to_the_one_before(
    tmp_path: Path, name: str, place: float, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path, 100)
    _save(tmp_path, 200)
    path = tmp_path / "step-00000200" / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.step == 100
    assert loaded.tensors["w"][0] == 100
    assert "step-00000200 is skipped" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tensors.safetensors", "values.json", "digests.json"])
def test_a_torn_or_missing_file_is_skipped(tmp_path: Path, name: str) -> None:
    _save(tmp_path, 1)
    path = tmp_path / "step-00000001" / name
    path.write_bytes(path.read_bytes()[:-1])
    assert load_checkpoint(tmp_path) is None
    path.unlink()
    assert load_checkpoint(tmp_path) is None


def test_keeps_the_newest_and_replaces_what_could_not_be_loaded(tmp_path: Path) -> None:
    for step in (100, 200, 300, 400):
        _save(tmp_path, step, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000300", "step-00000400"]
    (tmp_path / "step-00000400" / "values.json").write_text("{")
    _save(tmp_path, 350, keep=2)  # the run went on from 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000300", "step-00000350"]
    _save(tmp_path, 350, keep=2)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.step == 350


def test_leftovers_of_a_kill_are_ignored_and_removed(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".new-00000002")
    (tmp_path / ".new-00000002" / "digests.json").unlink()
    (tmp_path / ".old-00000001").mkdir()
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.step == 1
    _save(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_a_restored_optimizer_goes_on_to_the_bit(tmp_path: Path) -> None:
    def build() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, betas=(0.9, 0.95))

    def run(layer: torch.nn.Linear, optimizer: torch.optim.AdamW, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            layer(torch.full((1, 3), step + 1.0)).square().sum().backward()
            optimizer.step()

    whole = build()
    run(*whole, range(6))
    first = build()
    run(*first, range(3))
    tensors, values = optimizer_tensors(first[1], "opt")
    save_checkpoint(tmp_path, 3, {**tensors, **{f"m.{n}": p for n, p in first[0].named_parameters()}}, values, 1)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    second = build()
    with torch.no_grad():
        for name, param in second[0].named_parameters():
            param.copy_(loaded.part("m")[name])
    restore_optimizer(second[1], loaded.tensors, loaded.values, "opt")
    run(*second, range(3, 6))
    assert torch.equal(whole[0].weight, second[0].weight)
    assert torch.equal(whole[0].bias, second[0].bias)


def test_all_generators_go_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [
            torch.rand(1).item(),
            float(np.random.normal()),
            random.random(),
            random.gauss(0, 1),
            float(np.random.rand()),
        ]

    random.gauss(0, 1)  # leaves the second half of a pair waiting
    np.random.normal()
    save_checkpoint(tmp_path, 1, rng_tensors(), {}, 1)
    expected = draw() + draw()
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    restore_rng(loaded.tensors)
    assert draw() + draw() == expected


def test_sigterm_is_noticed_and_the_handler_given_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) == before
