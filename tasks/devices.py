"""The GPUs of this host, and the locks that keep two stages off the same one. Imports no torch.

One file a device, below /tmp/plumbline-devices-UID or PLUMBLINE_DEVICE_LOCKS: a free device is taken with an exclusive
``flock``, which then becomes a shared one that every training process takes as well. So the kernel itself keeps a
device occupied exactly as long as any process that may use it lives, whoever of them was killed.
"""

import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tasks.failures import BadConfig, LostWorker

LOCKS = "PLUMBLINE_DEVICE_LOCKS"
LISTING = "PLUMBLINE_GPU_FOLDER"  # one folder a GPU with a file `information`, as the driver writes it
HELD = "PLUMBLINE_HELD_DEVICES"  # to the training processes: the lock files of their devices
DRIVER = Path("/proc/driver/nvidia/gpus")
LOOK_EVERY = 0.5  # seconds between two tries


@dataclass(frozen=True)
class Device:
    """A GPU: what CUDA_VISIBLE_DEVICES calls it, and its model."""

    name: str
    model: str

    @property
    def kind(self) -> str:
        """Device class, the model as a word: "NVIDIA H200" is nvidia-h200."""
        return re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-") or "unknown"


def host_devices() -> list[Device]:
    """Every GPU that this host lets us see, in the order of the bus."""
    listing = os.environ.get(LISTING)
    if listing is None and (tool := shutil.which("nvidia-smi")):  # the one that knows what a container may use
        ask = [tool, "--query-gpu=uuid,name", "--format=csv,noheader"]
        try:
            done = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            rows = [line.partition(",") for line in done.stdout.splitlines() if line.strip()]
            return [Device(uuid.strip(), model.strip()) for uuid, _, model in rows]
    return _listed(Path(listing) if listing else DRIVER)


def _listed(folder: Path) -> list[Device]:
    found = []
    for index, path in enumerate(sorted(folder.glob("*/information"))):
        lines = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        uuid = facts.get("GPU UUID", "")
        # The driver writes question marks for a GPU that nothing has used yet
        found.append(Device(uuid if uuid and "?" not in uuid else str(index), facts.get("Model", "")))
    return found


def usable_devices() -> list[Device]:
    """The GPUs of this host, or those of them that CUDA_VISIBLE_DEVICES names: by number, UUID, or MIG slice."""
    devices, visible = host_devices(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not devices:
        return devices
    chosen: list[Device] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdigit():
            match = devices[int(entry) : int(entry) + 1]
        elif entry.startswith("MIG-"):
            match = [Device(entry, "mig")]
        else:
            match = [device for device in devices if entry and device.name.startswith(entry)][:1]
        if not match:
            break  # as CUDA does: the first name that is none ends the list
        chosen += match
    return chosen


def free_devices(devices: list[Device]) -> list[Device]:
    """Those that no stage holds now."""
    return [device for device in devices if (file := _take(device, None)) and not file.close()]


@contextmanager
def lock_devices(
    devices: list[Device], count: int, holder: dict[str, Any], say: Callable[[str], None], check: Callable[[], None]
) -> Iterator[list[Device]]:
    """Take ``count`` of the devices, all at once or none; wait as long as it takes.

    holder: who takes them, for those who wait.  say: told once who is waited for.  check: called at every look, may
    raise to give up.
    """
    said = False
    while True:
        with ExitStack() as stack:
            taken: list[Device] = []
            for device in devices:
                if len(taken) < count and (file := _take(device, holder)):
                    stack.enter_context(file)
                    taken.append(device)
            if len(taken) == count:
                yield taken
                return
        if not said:
            users = "; ".join(f"{device.name} is used by {describe(read_holder(device))}" for device in devices)
            say(f"waiting for {count} of {len(devices)} GPU(s): {users}")
            said = True
        check()
        time.sleep(LOOK_EVERY * random.uniform(0.5, 1.5))  # two runs that want two GPUs each must not step in time


def _take(device: Device, holder: dict[str, Any] | None) -> TextIO | None:
    """The locked file of a device, None when somebody uses it. holder: written into it; None leaves it as it is."""
    file = lock_file(device).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if holder is not None:
            file.truncate(0)
            file.write(json.dumps(holder))
            file.flush()
        # Not atomic: somebody may have come in between, then this raises and the device is theirs
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def environment(devices: list[Device]) -> dict[str, str]:
    """What the training processes need: only their devices, by name, and the lock files that they share."""
    if not devices:
        return {}
    names = ",".join(device.name for device in devices)
    locks = os.pathsep.join(str(lock_file(device)) for device in devices)
    return {"CUDA_VISIBLE_DEVICES": names, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", HELD: locks}


_shared: list[TextIO] = []  # never closed: the kernel does it when the process ends


def share_locks() -> None:
    """In a training process: take part in the locks of its devices until the process ends.

    Raises LostWorker when another run holds one, which happens only after everybody who started this process died.
    """
    for name in filter(None, os.environ.get(HELD, "").split(os.pathsep)):
        file = Path(name).open("r", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LostWorker(f"{name}: whoever started this process died, and another run has the device now") from None
        _shared.append(file)


def lock_file(device: Device) -> Path:
    """The file whose lock is the device. Raises BadConfig when the folder is somebody else's."""
    given = os.environ.get(LOCKS)
    folder = Path(given) if given else Path(f"/tmp/plumbline-devices-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not given and folder.stat().st_uid != os.getuid():
        raise BadConfig(f"{folder} belongs to another user; name a folder of your own in {LOCKS}")
    return folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device.name)}.lock"


def read_holder(device: Device) -> dict[str, Any]:
    """Who took a device last: run, stage, pid; empty when nobody is on record."""
    try:
        found = json.loads(lock_file(device).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"{holder.get('stage')} of run {holder.get('run')} (process {holder.get('pid')})"
