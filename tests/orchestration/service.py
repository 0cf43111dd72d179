"""A real Prefect server and real process workers of their own: a temporary home, a free port, nothing left behind.

    with Service(tmp_path) as service:          # or the fixture ``service`` of conftest.py
        service.start_worker()
        service.deploy("align", "flows/align.py:align")
        run = service.start_run("align", {"recipe": "nano"})
        service.wait_for(run, "Completed", seconds=600)

The server, and every worker, lead a process group; ``kill_server`` and ``kill_worker`` end one by SIGKILL. Flows run
in the repository's root with ``environment``, which also holds PLUMBLINE_HOME, and see ``tests/orchestration`` on
PYTHONPATH. ``port`` picks the port; ``settings`` adds environment variables of server and workers (Postgres, auth).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from flows.engine import SETTINGS

ROOT = Path(__file__).parents[2]
POOL = "plumbline"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def contended(seconds: float) -> float:
    """A limit that is meant for a machine with a core to spare, stretched by what else this one has to do."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(met: Callable[[], Any], seconds: float, what: str = "") -> Any:
    """The first truthy value of ``met``. Raises AssertionError when none came within so many seconds."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if value := met():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what or met} did not happen within {seconds:g} s")


def processes_of(home: Path, *words: str) -> list[psutil.Process]:
    """Running processes with this PLUMBLINE_HOME whose command line holds every word."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("PLUMBLINE_HOME") == str(home)
            line = " ".join(process.cmdline())
            if mine and all(word in line for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Service:
    """One Prefect server, a process pool named plumbline, and any number of workers."""

    def __init__(self, folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.home = folder / "home"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            **SETTINGS,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PLUMBLINE_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        (self.folder / "prefect").mkdir(parents=True, exist_ok=True)
        self.start_server()
        self._settings = temporary_settings(
            {
                PREFECT_API_URL: self.url,
                PREFECT_API_AUTH_STRING: self.environment.get("PREFECT_API_AUTH_STRING"),
            }
        )
        self._settings.__enter__()
        self.client = get_client(sync_client=True)
        self.client.__enter__()
        template = ProcessWorker.get_default_base_job_template()
        template["variables"]["properties"]["stream_output"]["default"] = False
        with contextlib.suppress(ObjectAlreadyExists):
            self.client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.__exit__(*exception)  # type: ignore[arg-type]
        self._settings.__exit__(*exception)  # type: ignore[arg-type]
        for name in list(self.workers):
            self.stop_worker(name)
        self.kill_server()

    def start_server(self, seconds: float = 600) -> None:
        """Start, or start again on the same port and history; returns when it answers."""
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self.server = self._start("server", [sys.executable, "-m", "prefect", "server", "start", *address])
        wait_until(self.healthy, seconds, "the start of the server")

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill_server(self) -> None:
        """SIGKILL to the server and all its processes."""
        if self.server is not None:
            _kill_group(self.server)
            self.server = None

    def start_worker(self, name: str = "first", seconds: float = 120, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of the pool; returns when the server knows it."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", name]
        self.workers[name] = self._start(f"worker-{name}", command, environment)
        wait_until(lambda: name in self._online(), seconds, f"the start of worker {name}")
        return self.workers[name]

    def _online(self) -> set[str]:
        return {worker.name for worker in self.client.read_workers_for_work_pool(POOL)}

    def kill_worker(self, name: str = "first") -> None:
        """SIGKILL to the worker; its flows lead groups of their own and are not touched."""
        _kill_group(self.workers.pop(name))

    def stop_worker(self, name: str = "first", seconds: float = 60) -> None:
        """SIGTERM, as a service manager does it; the worker ends its flows."""
        worker = self.workers.pop(name)
        worker.terminate()
        try:
            worker.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill_group(worker)

    def deploy(self, name: str, entrypoint: str, tags: list[str] | None = None, **job_variables: Any) -> UUID:
        """Register a flow of the repository, ``file.py:function``, as deployment ``name/name`` of the pool."""
        return self.client.create_deployment(
            flow_id=self.client.create_flow_from_name(name),
            name=name,
            entrypoint=entrypoint,
            path=str(ROOT),
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            work_pool_name=POOL,
            tags=tags or ["plumbline"],
            enforce_parameter_schema=False,
            job_variables=job_variables,
        )

    def start_run(self, deployment: str, parameters: dict[str, Any] | None = None) -> UUID:
        """Ask for a run of a deployment; the next worker takes it."""
        found = self.client.read_deployment_by_name(f"{deployment}/{deployment}")
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters or {}).id

    def read(self, run: UUID) -> FlowRun:
        return self.client.read_flow_run(run)

    def history(self, run: UUID) -> list[State[Any]]:
        """Every state of a flow run, oldest first."""
        return self.client.read_flow_run_states(run)

    def wait_for(self, run: UUID, *names: str, seconds: float) -> State[Any]:
        """Wait for a state by its name; a final state of another name ends the wait. A server that is away is borne."""
        limit = time.monotonic() + seconds
        state: State[Any] | None = None
        while time.monotonic() < limit:
            try:
                state = self.read(run).state
            except httpx.HTTPError:
                time.sleep(1)
                continue
            assert state is not None
            if state.name in names:
                return state
            if state.is_final():
                break
            time.sleep(0.2)
        found = f"{state.name}: {state.message}" if state else "unknown"
        raise AssertionError(f"run is {found}, not {' or '.join(names)}, after {seconds:g} s\n{self.log_tail()}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """Running processes of this service whose command line holds every word, such as ``tasks.child``."""
        return processes_of(self.home, *words)

    def record(self, run: UUID) -> dict[str, Any] | None:
        """The run record of a flow run, as it is on the disk."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in (self.home / "runs").glob("*.json")]
        return next((record for record in found if record["flow_run"] == str(run)), None)

    def log_tail(self, lines: int = 40) -> str:
        """The end of every log of server and workers."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(text))
        return "\n".join(parts)

    def _start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
