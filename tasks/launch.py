"""Run a stage function in a child process: own session, supervised, followed live, never orphaned."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from configs.schema.launch import LaunchConfig
from tasks.child import Job, Outcome
from tasks.failures import FAILURES, LostWorker, OutOfMemory, StageFailure
from tasks.live import EVENTS, Losses
from tasks.redaction import redact
from tasks.supervisor import STOP, end_group, start_ticks

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs" / "launch"
LOG = "log.txt"  # in the working folder: what the child prints
SUPERVISOR = Path(__file__).with_name("supervisor.py")
Listener = Callable[[dict[str, Any]], None]
abandoned = threading.Event()  # set when this process is about to end: nobody waits while a child saves
stopping = threading.Event()  # set while a child is being ended: a second signal would cut its last checkpoint short


def run_child(
    job: Job,
    launch: LaunchConfig,
    accelerate: bool,
    on_event: Listener,
    check: Callable[[], None],
    devices: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Start the job, follow its events until it ends, and return its outcome.

    ``check`` is called a few times a second and may raise (lease lost, run cancelled): the group then ends.
    ``devices`` is the environment that names the devices which the child may use.
    Raises the StageFailure that the child named, OutOfMemory when the kernel killed it, else LostWorker.
    """
    work = Path(job.work)
    pidfile, events, log, result = work / "child.json", work / EVENTS, work / LOG, Path(job.result)
    end_leftover(pidfile, launch.grace_seconds)
    job_file = work / "job.json"
    job_file.write_text(job.model_dump_json(indent=1), encoding="utf-8")
    result.unlink(missing_ok=True)
    losses = Losses.begin(events)
    command = [sys.executable, "-I", "-S", str(SUPERVISOR), str(launch.grace_seconds), str(pidfile)]
    command += _command(job_file, launch, accelerate)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env={**_environment(launch, job), **devices},
            start_new_session=True,
        )
    stopping.clear()
    follow, kills = _Follower(events, lambda event: losses.pass_on(event, on_event)), _kernel_kills()
    try:
        while process.poll() is None:
            follow.read()
            check()
            time.sleep(0.05)
        follow.read()
    finally:
        _stop(process, pidfile, launch.grace_seconds)
    stopping.clear()
    return _outcome(job, result, process.returncode, log, memory=_kernel_kills() > kills)


def _command(job: Path, launch: LaunchConfig, accelerate: bool) -> list[str]:
    if not accelerate:
        return [sys.executable, "-m", "tasks.child", str(job)]
    if launch.processes > 1 and not launch.accelerate_config and not _has_gpu():
        # accelerate launch --cpu --num_processes 2 starts one process without a word; torchrun starts two
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
        return [*torchrun, str(launch.processes), "-m", "tasks.child", str(job)]
    # Always a config of ours: without one, accelerate reads whatever the user's home holds
    config = launch.accelerate_config or str(CONFIGS / ("one.yaml" if launch.processes == 1 else "ddp.yaml"))
    start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config]
    if not launch.accelerate_config:
        start += ["--num_processes", str(launch.processes), "--num_cpu_threads_per_process", str(launch.threads)]
        start += [] if _has_gpu() else ["--cpu"]
    return [*start, "-m", "tasks.child", str(job)]


def _has_gpu() -> bool:
    """Without importing torch: the driver's device files."""
    return Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists()


def _environment(launch: LaunchConfig, job: Job) -> dict[str, str]:
    base = str(job.config.get("base") or "")
    hub = bool(base) and not Path(base).exists() and not base.startswith("package:")
    settings = {
        "OMP_NUM_THREADS": str(launch.threads),
        "MKL_NUM_THREADS": str(launch.threads),
        # Spinning threads under contention are slower than one thread
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }
    if not _has_gpu():
        settings |= {"ACCELERATE_USE_CPU": "true"}
    if not hub:
        settings |= {"HF_HUB_OFFLINE": "1"}
    # A child talks to no server: it gets no address and no password of one
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**inherited, **settings}


class _Follower:
    """Reads whole new lines of the events file."""

    def __init__(self, path: Path, on_event: Listener) -> None:
        self.path, self.on_event, self.offset = path, on_event, 0

    def read(self) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                block = file.read()
        except FileNotFoundError:
            return
        whole = block.rpartition(b"\n")[0]
        if not whole:
            return
        self.offset += len(whole) + 1
        for line in whole.split(b"\n"):
            self.on_event(json.loads(line))


def end_leftover(pidfile: Path, grace: float) -> None:
    """End the group of an earlier attempt that is still alive, so that one process writes the working folder."""
    try:
        found = json.loads(pidfile.read_text(encoding="ascii"))
    except (FileNotFoundError, json.JSONDecodeError):
        return
    if found["ticks"] and start_ticks(found["group"]) == found["ticks"]:
        end_group(found["group"], grace)
    pidfile.unlink(missing_ok=True)


def _stop(process: subprocess.Popen[bytes], pidfile: Path, grace: float) -> None:
    assert process.stdin is not None
    stopping.set()
    with contextlib.suppress(OSError):  # the supervisor may be gone
        if not abandoned.is_set():
            process.stdin.write(STOP)
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=grace + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    end_leftover(pidfile, grace)


def _outcome(job: Job, result: Path, code: int, log: Path, memory: bool) -> Outcome:
    if result.is_file():
        outcome = Outcome.model_validate_json(result.read_text(encoding="utf-8"))
        if outcome.failure is None and code == 0:
            return outcome
        if outcome.failure is not None:
            raise FAILURES.get(outcome.failure, StageFailure)(redact(outcome.message))
    tail = redact(_tail(log))
    if memory:
        raise OutOfMemory(
            f"{job.stage}: the kernel killed the child for memory; lower {job.stage}.batch or the model size"
        )
    raise LostWorker(f"{job.stage}: the child ended with exit status {code} and no result; its last lines:\n{tail}")


def _kernel_kills() -> int:
    """Out-of-memory kills that this control group has counted (cgroup v2; 0 elsewhere)."""
    try:
        text = Path("/sys/fs/cgroup/memory.events").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(dict(line.split() for line in text.splitlines()).get("oom_kill", "0"))


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
