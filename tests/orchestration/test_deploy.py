"""Deployments: the file, the commands that register it, and `plumbline up` with everything it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema
from service import Service, free_port, wait_until

from configs.recipe import shipped
from configs.schema import STAGES
from flows.align import align
from flows.cli import main
from flows.deploy import FILE, POOL, describe_schedules, ensure_pool, read_deployments
from flows.kept import Kept
from flows.up import up
from tasks.failures import BadConfig

ROOT = Path(__file__).parents[2]


def test_every_flow_has_a_deployment() -> None:
    entries = {entry["name"]: entry for entry in read_deployments()}
    flows = {path.stem for path in (ROOT / "flows").glob("*.py") if "\n@flow(" in path.read_text(encoding="utf-8")}
    assert set(entries) == flows == {"align"} | (set(STAGES) - {"world"})
    for name, entry in entries.items():
        assert entry["entrypoint"] == f"flows/{name}.py:{name}"
        assert entry["description"]
        assert "plumbline" in entry["tags"]
        assert entry["enforce_parameter_schema"] is True
        assert entry["work_pool"]["name"] == POOL
        assert entry["work_pool"]["job_variables"]["stream_output"] is False


def test_schedules_are_off() -> None:
    schedules = {entry["name"]: entry["schedules"] for entry in read_deployments() if "schedules" in entry}
    assert {name: [item["slug"] for item in items] for name, items in schedules.items()} == {
        "align": ["weekly"],
        "evaluate": ["nightly"],
    }
    assert not any(item["active"] for items in schedules.values() for item in items)


def test_plain_prefect_finds_the_file() -> None:
    link = ROOT / "prefect.yaml"
    assert link.resolve() == FILE.resolve()
    assert not link.readlink().is_absolute()


def test_the_form_has_enums_units_and_descriptions() -> None:
    schema = parameter_schema(align).model_dump_for_openapi()
    fields = schema["properties"]
    assert fields["recipe"]["enum"] == shipped()
    assert fields["rerun_from"]["enum"] == [*STAGES, None]
    assert fields["force"]["items"]["enum"] == list(STAGES)
    assert all(field["description"] for field in fields.values())
    assert fields["dials"]["default"] == {}  # a null would be refused by the server
    dials = schema["definitions"]["Dials"]["properties"]
    assert dials["pretrain_steps"] == {
        "title": "pretrain_steps",
        "type": "integer",
        "minimum": 0,
        "description": "Optimiser steps of pretraining. [steps, ≥ 0]",
    }
    assert dials["kl_coefficient"]["type"] == "number"
    assert "[path]" in dials["data_root"]["description"]


def test_without_a_server_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["plumbline", "deploy"])
    for url in (None, f"http://127.0.0.1:{free_port()}/api"):
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(SystemExit):
            main()
        assert "plumbline up" in capsys.readouterr().err


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadConfig, match=rf"port {port} of 127.0.0.1 is taken .*--port {port + 1}"):
            up(port)


def test_what_dies_is_started_again_after_ever_longer_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("flows.kept.time.monotonic", lambda: clock[0])
    kept = Kept("short", [sys.executable, "-c", "print('lived')"], os.environ, tmp_path, grace=1)
    kept.start()
    pauses = []
    for _ in range(3):
        while (said := kept.look()) is None:
            time.sleep(0.01)
        assert "ended with status 0" in said
        pauses.append(kept.pause)
        clock[0] += kept.pause + 0.1
        assert kept.look() == "short started again"
    kept.stop()
    assert pauses == [2, 4, 8]
    assert "lived" in kept.last_lines()


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); print('ready', flush=True); time.sleep(600)"
    )
    kept = Kept("parent", [sys.executable, "-c", script], os.environ, tmp_path, grace=5)
    kept.start()
    wait_until(lambda: "ready" in kept.last_lines(), 60)
    group = json.loads(kept.pidfile.read_text(encoding="ascii"))["group"]
    kept.stop()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


# ---- with a real server


def prefect(service: Service, *arguments: str) -> str:
    return _call(service, "-m", "prefect", "--no-prompt", *arguments)


def plumbline(service: Service, *arguments: str) -> str:
    return _call(service, "-c", "from flows.cli import main; main()", *arguments)


def _call(service: Service, *command: str) -> str:
    environment = {**service.environment, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def registered(service: Service) -> dict[str, dict[str, Any]]:
    """What the server has, without what changes by the minute."""
    # version: in a clone with a remote, `prefect deploy` labels deployments with the commit, else with the flow's hash
    changing = {"id", "created", "updated", "schedules", "last_polled", "status", "work_queue_id", "version"}
    return {
        found.name: found.model_dump(mode="json", exclude=changing)
        | {"schedules": [item.model_dump(mode="json", include={"schedule", "active", "slug", "parameters"})
                         for item in found.schedules]}
        for found in service.client.read_deployments()
    }  # fmt: skip


@pytest.mark.orchestration
def test_both_commands_register_the_same_twice(service: Service) -> None:
    prefect(service, "deploy", "--all")
    first, ids = registered(service), {found.id for found in service.client.read_deployments()}
    assert set(first) == {entry["name"] for entry in read_deployments()}
    prefect(service, "deploy", "--all")
    assert registered(service) == first
    printed = plumbline(service, "deploy")
    assert registered(service) == first
    assert {found.id for found in service.client.read_deployments()} == ids
    assert "weekly 0 2 * * 6 UTC, off" in printed
    assert f"next: prefect worker start --pool {POOL}" in printed
    assert "plumbline: crash" in printed


@pytest.mark.orchestration
def test_a_schedule_that_is_on_stays_on(service: Service) -> None:
    plumbline(service, "deploy")
    weekly = service.client.read_deployment_by_name("align/align")
    prefect(service, "deployment", "schedule", "resume", "align/align", str(weekly.schedules[0].id))
    assert "on" in describe_schedules(service.client.read_deployment_by_name("align/align"))
    printed = plumbline(service, "deploy")
    assert "weekly 0 2 * * 6 UTC, on" in printed
    assert "nightly 30 3 * * * UTC, off" in printed


@pytest.mark.orchestration
def test_the_api_refuses_what_the_form_does_not_allow(service: Service) -> None:
    plumbline(service, "deploy")
    for parameters, said in (
        ({"recipe": "nanoo"}, "nanoo"),
        ({"dials": {"ppo_iterations": 0}}, "ppo_iterations"),
        ({"dials": {"pretrain_steps": "many"}}, "many"),
        ({"rerun_from": "pretraining"}, "pretraining"),
        ({"overrides": ["no equals sign"]}, "no equals sign"),
    ):
        found = service.client.read_deployment_by_name("align/align")
        with pytest.raises(httpx.HTTPStatusError) as refusal:
            service.client.create_flow_run_from_deployment(found.id, parameters=parameters)
        assert refusal.value.response.status_code in (409, 422)
        assert said in refusal.value.response.text


@pytest.mark.orchestration
def test_a_parameter_that_no_flow_has_fails_before_anything_runs(worker: Service) -> None:
    """Prefect's schemas let unknown parameters pass, so the flow's own signature refuses."""
    plumbline(worker, "deploy")
    found = worker.client.read_deployment_by_name("align/align")
    run = worker.client.create_flow_run_from_deployment(found.id, parameters={"overridden": []}).id

    def ended() -> bool:
        state = worker.read(run).state
        return state is not None and state.is_final()

    wait_until(ended, 120, "the end of the run")
    assert worker.read(run).state_name in ("Failed", "Crashed")
    assert worker.record(run) is None


@pytest.mark.orchestration
def test_a_pool_of_another_type_must_exist(service: Service) -> None:
    with pytest.raises(BadConfig, match="prefect work-pool create elsewhere"):
        ensure_pool(service.client, "elsewhere")


# ---- plumbline up


class Site:
    """A running `plumbline up`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.log = free_port(), folder / "up.log"
        self.home = folder / "home"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "PLUMBLINE_"))}
        places = {"PREFECT_HOME": str(folder / "prefect"), "PLUMBLINE_HOME": str(self.home)}
        command = [sys.executable, "-c", "from flows.cli import main; main()", "up", "--port", str(self.port)]
        self.begin = time.monotonic()
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(command, cwd=ROOT, env={**inherited, **places}, stdout=sink, stderr=sink)
        wait_until(lambda: "next:" in self.said() or self.process.poll() is not None, 400, "the start")
        self.url = f"http://127.0.0.1:{self.port}/api"
        print(f"up after {time.monotonic() - self.begin:.1f} s")

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def group(self, name: str) -> int:
        return int(json.loads((self.home / "up" / f"{name}.pid").read_text(encoding="ascii"))["group"])

    def processes(self, stage: str = "") -> list[int]:
        """What was started for this home: server, worker, flows, training; or only what trains a stage."""
        found = []
        for process in psutil.process_iter(["environ", "cmdline", "status"]):
            if (process.info["environ"] or {}).get("PLUMBLINE_HOME") != str(self.home):
                continue
            words = process.info["cmdline"] or []
            wanted = not stage or ("tasks.child" in words and f"/{stage}/" in words[-1])
            if wanted and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    with temporary_settings({PREFECT_API_URL: running.url}):
        yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(timeout=120)


def start(client: Any, *overrides: str) -> Any:
    """Id of a new run of the whole workflow."""
    found = client.read_deployment_by_name("align/align")
    parameters = {"recipe": "nano", "overrides": list(overrides)}
    return client.create_flow_run_from_deployment(found.id, parameters=parameters).id


@pytest.mark.orchestration
def test_up_runs_what_is_asked_and_leaves_nothing(site: Site) -> None:
    with get_client(sync_client=True) as client:
        run = start(client)
        final = wait_until(lambda: (state := client.read_flow_run(run).state).is_final() and state, 1500, "the run")
        assert final.name == "Completed", final.message
        assert client.read_flow_run(run).work_pool_name == POOL
    assert list((site.home / "runs").glob("nano-*.json"))
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(timeout=120) == 0
    assert f"next: plumbline up --port {site.port}" in site.said()
    wait_until(lambda: not site.processes(), 20, "the end of every process")


@pytest.mark.orchestration
def test_up_starts_again_what_dies_and_a_kill_leaves_nothing(site: Site) -> None:
    for name in ("worker", "server"):
        before = site.group(name)
        os.killpg(before, signal.SIGKILL)
        wait_until(lambda name=name: f"{name} started again" in site.said(), 60, f"the restart of the {name}")
        wait_until(lambda name=name, before=before: site.group(name) != before, 30)
    wait_until(lambda: _healthy(site), 240, "the server")
    with get_client(sync_client=True) as client:
        start(client, "pretrain.steps=1000000")
    wait_until(lambda: site.processes("pretrain"), 600, "training")
    site.process.kill()
    begin = time.monotonic()
    wait_until(lambda: not site.processes(), 30, "the end of every process after SIGKILL")
    print(f"nothing left {time.monotonic() - begin:.1f} s after SIGKILL")


def _healthy(site: Site) -> bool:
    try:
        return httpx.get(f"{site.url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
