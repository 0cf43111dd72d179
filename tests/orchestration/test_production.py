"""The production set-up, all of it at once: Postgres, auth string, TLS proxy, worker, S3 artifacts, secrets.

One whole run through the worker; the tests look at what it left. Without PostgreSQL binaries the server has SQLite.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import psutil
import pytest
from objects import Bucket, bucket
from postgres import dump, has_postgres, postgres
from proxy import tls_proxy
from service import ROOT, Service

from configs.schema import STAGES

pytestmark = pytest.mark.orchestration
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLUMBLINETESTKEY",
    "AWS_SECRET_ACCESS_KEY": "aws-seen-nowhere-0a1b2c3d",
    "PREFECT_API_AUTH_STRING": "admin:auth-seen-nowhere-4e5f6a7b",
    "PREFECT_SERVER_ENCRYPTION_KEY": "Q2zY8m4r0JvT3bWn6kXs1dLh7pFg5uAe9cNqRtVxZ0M=",
    "HF_TOKEN": "hf_SeenNowhere8c9d0e1f2a3b",
    "PLUMBLINE_TEST_WEBHOOK": "https://hooks.slack.com/services/seen-nowhere-3c4d5e6f",
}


@dataclass
class Production:
    """The running set-up and the run that was made on it."""

    service: Service
    store: Bucket
    client: dict[str, str]
    database: str | None
    commands: set[str] = field(default_factory=set)
    watched: threading.Event = field(default_factory=threading.Event)

    def plumbline(
        self, *arguments: str, machine: str = "first", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """The command line on a machine that shares nothing with another but the server and the bucket."""
        home = self.service.home if machine == "first" else self.service.folder / machine
        env = {
            **self.service.environment,
            **self.client,
            "PLUMBLINE_HOME": str(home),
            "PREFECT_HOME": str(self.service.folder / f"prefect-{machine}"),
            "COLUMNS": "200",
            **environment,
        }
        command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)

    def watch(self) -> None:
        """Note the command line of every process until told to stop."""
        while not self.watched.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                self.commands.add("\0".join(process.info["cmdline"] or ()))


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    with ExitStack() as stack:
        store = stack.enter_context(bucket(SECRETS["AWS_ACCESS_KEY_ID"], SECRETS["AWS_SECRET_ACCESS_KEY"]))
        url = stack.enter_context(postgres()) if has_postgres() else None
        settings = {
            **SECRETS,
            **store.environment,
            "PREFECT_SERVER_API_AUTH_STRING": SECRETS["PREFECT_API_AUTH_STRING"],
            "PLUMBLINE_STORE": store.url,
            **({"PREFECT_API_DATABASE_CONNECTION_URL": url} if url else {}),
        }
        service = stack.enter_context(Service(folder, settings=settings))
        client = stack.enter_context(tls_proxy(folder / "tls", service.port))
        running = Production(service, store, client, url)
        watcher = threading.Thread(target=running.watch, daemon=True)
        watcher.start()
        _save_webhook(SECRETS["PLUMBLINE_TEST_WEBHOOK"])
        service.start_worker(**client)
        service.deploy("align", "flows/align.py:align")
        run = service.start_run("align", {"recipe": "nano"})
        service.wait_for(run, "Completed", seconds=1200)
        yield running
        running.watched.set()
        watcher.join()


def _save_webhook(url: str) -> None:
    from prefect.blocks.webhook import Webhook

    Webhook(url=url).save("plumbline-test")  # type: ignore[arg-type]


def test_the_database_is_postgres(production: Production) -> None:
    if production.database is None:
        pytest.skip("no PostgreSQL binaries: apt-get install postgresql")
    assert not list(production.service.folder.glob("prefect/*.db"))
    assert "flow_run" in dump(production.database)


def test_a_second_machine_reuses_every_artifact(production: Production) -> None:
    done = production.plumbline("run", "nano", machine="second")
    assert done.returncode == 0, done.stderr
    status = json.loads(production.plumbline("status", "--json", machine="second").stdout)
    assert [row["name"] for row in status["stages"]] == [row for row in STAGES if row in _names(status)]
    assert {row["state"] for row in status["stages"]} == {"Reused"}
    assert all(row["uri"].startswith("s3://plumbline/store/") for row in status["stages"])


def _names(status: dict[str, list[dict[str, str]]]) -> set[str]:
    return {row["name"] for row in status["stages"]}


@pytest.mark.parametrize(
    "arguments",
    [["verify"], ["report"], ["chat", "-p", "Write a sad story."], ["gc", "--dry-run"], ["status"], ["plan", "nano"]],
    ids=lambda arguments: arguments[0],
)
def test_commands_work_on_the_object_store(production: Production, arguments: list[str]) -> None:
    done = production.plumbline(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] == "verify":
        assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PREFECT_API_AUTH_STRING": "admin:wrong"}, "does not accept PREFECT_API_AUTH_STRING"),
        ({"PREFECT_API_AUTH_STRING": ""}, "asks for PREFECT_API_AUTH_STRING"),
        ({"PREFECT_API_SSL_CERT_FILE": ""}, "set PREFECT_API_SSL_CERT_FILE"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "does not answer"),
    ],
    ids=["wrong password", "no password", "unknown certificate", "no server"],
)
def test_a_server_that_refuses_is_explained(production: Production, change: dict[str, str], said: str) -> None:
    done = production.plumbline("run", "nano", machine="third", PREFECT_CLIENT_MAX_RETRIES="0", **change)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_secret_is_in_any_file(production: Production) -> None:
    seen = []
    for path in production.service.folder.rglob("*"):
        if path.is_file() and (found := _secrets_in(path.read_bytes(), production)):
            seen.append((str(path), found))
    assert seen == []


def test_no_secret_is_in_the_store(production: Production) -> None:
    assert [name for name, data in production.store.contents() if _secrets_in(data, production)] == []


def test_no_secret_is_in_the_database(production: Production) -> None:
    if production.database:  # SQLite's file was read with the others
        assert _secrets_in(dump(production.database).encode(), production) == []


def test_no_secret_is_on_a_command_line(production: Production) -> None:
    commands = "\n".join(production.commands)
    assert "tasks.child" in commands, "the stages were watched"
    assert _secrets_in(commands.encode(), production) == []


def _secrets_in(data: bytes, production: Production) -> list[str]:
    """Names of the secrets that stand in ``data`` in clear."""
    secrets = dict(SECRETS, PREFECT_API_AUTH_STRING=SECRETS["PREFECT_API_AUTH_STRING"].split(":")[1])
    if production.database:
        secrets["database password"] = production.database.split(":")[2].split("@")[0]
    return [name for name, value in secrets.items() if value.encode() in data]


def test_the_search_finds_what_is_there(production: Production) -> None:
    """A search that cannot find would always be green: what is known to be in each place is found."""
    assert b"nano" in b"".join(path.read_bytes() for path in production.service.home.glob("runs/*.json"))
    assert any(b'"stage": "ppo"' in data for _, data in production.store.contents())
    if production.database:
        assert "plumbline-test" in dump(production.database)
