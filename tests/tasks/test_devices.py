"""Devices: which there are, never two holders of one, free at once when the holder dies, a wait that can end."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.recipe import load_recipe
from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from tasks.devices import Device, environment, free_devices, host_devices, lock_devices, read_holder, usable_devices
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import Run
from tasks.slots import choose, hold_slots
from tasks.stage import stage

ROOT = Path(__file__).parents[2]
INFORMATION = """Model: \t\t {model}
IRQ:   \t\t 48
GPU UUID: \t {uuid}
Video BIOS: \t 97.10.4b.00.01
Bus Type: \t PCIe
Bus Location: \t 0000:{bus}:00.0
Device Minor: \t 0
GPU Excluded:\t No
"""
UUIDS = ["GPU-aaaa0000-1111", "GPU-bbbb0000-2222"]


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """A host whose driver lists two GPUs of different models."""
    for bus, uuid, model in zip(("1b", "43"), UUIDS, ("NVIDIA H200", "NVIDIA L4"), strict=True):
        folder = tmp_path / "gpus" / f"0000:{bus}:00.0"
        folder.mkdir(parents=True)
        text = INFORMATION.format(model=model, uuid=uuid, bus=bus)
        (folder / "information").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PLUMBLINE_GPU_FOLDER", str(tmp_path / "gpus"))
    monkeypatch.setenv("PLUMBLINE_DEVICE_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
    return host_devices()


def test_the_driver_names_devices_and_their_class(two_gpus: list[Device]) -> None:
    assert [(device.name, device.kind) for device in two_gpus] == list(
        zip(UUIDS, ["nvidia-h200", "nvidia-l4"], strict=True)
    )


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", UUIDS[1:]),
        ("1,0", UUIDS[::-1]),
        ("GPU-bbbb", UUIDS[1:]),
        ("0,7,1", UUIDS[:1]),  # CUDA stops at the first that is none
        ("", []),
        ("-1", []),
        ("MIG-cccc", ["MIG-cccc"]),
    ],
)
def test_visible_devices_are_the_set_to_choose_from(
    two_gpus: list[Device], monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [device.name for device in usable_devices()] == names


def test_a_device_that_nothing_has_used_yet_goes_by_its_number(two_gpus: list[Device], tmp_path: Path) -> None:
    path = tmp_path / "gpus" / "0000:43:00.0" / "information"
    path.write_text(INFORMATION.format(model="NVIDIA L4", uuid="GPU-????????-????", bus="43"), encoding="utf-8")
    assert [device.name for device in host_devices()] == [UUIDS[0], "1"]


def test_without_a_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLUMBLINE_GPU_FOLDER", str(tmp_path / "none"))
    with hold_slots("pretrain", LaunchConfig(), 1, "run", None, print, lambda: None) as names:
        assert names == {}


def test_too_many_processes_and_a_class_that_is_not_here_are_refused(two_gpus: list[Device]) -> None:
    with pytest.raises(BadConfig, match=r"pretrain\.launch\.processes=3, but 2 GPU\(s\) can be used here"):
        choose(two_gpus, "pretrain", LaunchConfig(), 3)
    with pytest.raises(BadConfig, match=r"device_class='nvidia-a100', but this host has nvidia-h200, nvidia-l4"):
        choose(two_gpus, "pretrain", LaunchConfig(device_class="nvidia-a100"), 1)
    assert choose(two_gpus, "pretrain", LaunchConfig(device_class="nvidia-l4"), 1) == two_gpus[1:]


HOLD = """
    import sys, time
    from tasks.devices import environment, lock_devices, usable_devices
    name, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    holder = {"run": name, "stage": "pretrain", "pid": 1}
    with lock_devices(usable_devices(), count, holder, print, lambda: None) as held:
        begin = time.time()
        print("held", *(device.name for device in held), flush=True)
        time.sleep(seconds)
        end = time.time()
    print("span", begin, end, *(device.name for device in held), flush=True)
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(two_gpus: list[Device]) -> Any:
    """start(name, count, seconds) holds so many devices in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, count: int, seconds: float, code: str = HOLD) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), name, str(count), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise AssertionError(f"{word!r} never came")


def test_two_devices_five_runs_never_two_holders_of_one(start: Start) -> None:
    runs = [start(f"run{index}", 2 if index == 4 else 1, 0.3) for index in range(5)]
    spans = [read_until(run, "span") for run in runs]
    for index, (begin, end, *names) in enumerate(spans):
        for other_begin, other_end, *other_names in spans[index + 1 :]:
            if set(names) & set(other_names):
                assert float(end) <= float(other_begin) or float(other_end) <= float(begin)
    assert {name for _, _, *names in spans for name in names} == set(UUIDS)


def test_a_killed_holders_device_is_free_at_once(start: Start, two_gpus: list[Device]) -> None:
    runs = [start("one", 1, 60), start("two", 1, 60)]
    held = [read_until(run, "held") for run in runs]
    assert sorted(held) == [[uuid] for uuid in UUIDS]
    assert free_devices(two_gpus) == []
    runs[0].send_signal(signal.SIGKILL)
    runs[0].wait()
    assert [device.name for device in free_devices(two_gpus)] == held[0]


def test_a_training_process_keeps_the_device_of_a_killed_parent(start: Start, two_gpus: list[Device]) -> None:
    rank = textwrap.dedent("""
        import time
        from tasks.devices import share_locks
        share_locks()
        print("shared", flush=True)
        time.sleep(60)
    """)
    code = f"""
    import os, subprocess, sys, time
    from tasks.devices import environment, lock_devices, usable_devices
    with lock_devices(usable_devices()[:1], 1, {{"run": "r"}}, print, lambda: None) as held:
        # as torchrun starts its ranks: a session of their own, no descriptor inherited
        env = {{**os.environ, **environment(held)}}
        child = subprocess.Popen([sys.executable, "-c", {rank!r}], env=env, start_new_session=True)
        print("child", child.pid, flush=True)
        time.sleep(60)
"""
    parent = start("r", 1, 60, code)
    child = int(read_until(parent, "child")[0])
    read_until(parent, "shared")
    parent.kill()
    parent.wait()
    assert two_gpus[0] not in free_devices(two_gpus)
    os.kill(child, signal.SIGKILL)
    limit = time.monotonic() + 5
    while two_gpus[0] not in free_devices(two_gpus) and time.monotonic() < limit:
        time.sleep(0.02)
    assert two_gpus[0] in free_devices(two_gpus)


def test_waiting_names_the_holder_and_can_be_cancelled(start: Start, two_gpus: list[Device]) -> None:
    read_until(start("story", 2, 60), "held")
    said: list[str] = []

    class Cancelled(Exception):
        pass

    def check() -> None:
        if said:
            raise Cancelled

    with (
        pytest.raises(Cancelled),
        lock_devices(two_gpus, 1, {"run": "mine"}, said.append, check),
    ):
        raise AssertionError("both devices are taken")
    assert said == [
        f"waiting for 1 of 2 GPU(s): {UUIDS[0]} is used by pretrain of run story (process 1); "
        f"{UUIDS[1]} is used by pretrain of run story (process 1)"
    ]


class NoConfig(Strict):
    """Nothing to set but the start."""

    launch: LaunchConfig = setting(LaunchConfig(), "How it is started.", keyed=False)


@stage(version=1, makes="text", gpu=True)
def corpus(config: NoConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write down what the child sees."""
    seen = {"visible": os.environ["CUDA_VISIBLE_DEVICES"], "holder": read_holder(Device(UUIDS[1], ""))}
    seen["free"] = [device.name for device in free_devices(host_devices())]
    (out / "seen.json").write_text(json.dumps(seen), encoding="utf-8")
    return {}


def test_a_stage_runs_on_the_free_device_and_sees_no_other(two_gpus: list[Device]) -> None:
    run = Run.begin(load_recipe("nano"), ["corpus"])
    with lock_devices(two_gpus[:1], 1, {"run": "other"}, print, lambda: None):
        ref, _ = corpus.execute(run, NoConfig(), {})
    seen = json.loads((run.store.open(ref) / "seen.json").read_text(encoding="utf-8"))
    assert seen["visible"] == UUIDS[1]
    assert seen["holder"] == {"run": run.record.run, "stage": "corpus", "pid": os.getpid()}
    assert seen["free"] == []
    assert [device.name for device in free_devices(two_gpus)] == UUIDS


def test_one_process_a_device(two_gpus: list[Device]) -> None:
    with hold_slots("ppo", LaunchConfig(processes=2), 2, "run", None, print, lambda: None) as names:
        assert names["CUDA_VISIBLE_DEVICES"] == ",".join(UUIDS)
    assert environment([]) == {}
