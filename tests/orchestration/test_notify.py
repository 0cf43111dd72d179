"""Notifications: a real server sends them, a real web hook and a real mail server receive them."""

import re
from collections.abc import Callable, Iterator
from email import message_from_string
from typing import Any
from uuid import UUID

import pytest
from inboxes import Hook, MailServer, serving
from prefect import flow
from prefect.states import Completed, Crashed, Failed, Running, State, Suspended
from service import Service, wait_until
from typer.testing import CliRunner

from flows.automations import TAG
from flows.cli import app
from tasks.failures import BadConfig

pytestmark = pytest.mark.orchestration


@flow(name="align")
def align(recipe: str) -> None:
    """Never runs: the tests put its runs into the states that they need."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with serving(Hook()) as running:
        yield running


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serving(MailServer()) as running:
        yield running


@pytest.fixture
def notify(service: Service) -> Iterator[Callable[..., Any]]:
    """`plumbline notify …`; everything is disconnected in the end."""

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["notify", *arguments])

    yield call
    assert call("--remove").exit_code == 0
    assert "nobody is told" in call("--list").output


def run_in(service: Service, name: str, *states: State[Any], tag: str = TAG) -> UUID:
    """A flow run that goes through these states."""
    run = service.client.create_flow_run(align, parameters={"recipe": "nano"}, name=name, tags=[tag])
    for state in (Running(), *states):
        service.client.set_flow_run_state(run.id, state, force=True)
    return run.id


def test_a_web_hook_hears_of_failure_waiting_and_finish(
    service: Service, hook: Hook, notify: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_WEBHOOK_URL", hook.url)
    result = notify("--webhook")
    assert result.exit_code == 0, result.output
    assert "next: plumbline notify --list" in result.output
    assert "secret-path" not in result.output
    assert "plumbline will tell you here" in hook.received.pop()["message"]
    assert notify("--list").output.count("plumbline: tell webhook of") == 3

    failed = run_in(service, "one", Failed(message='BadData: rows.jsonl:3: "x" is not JSON'))
    run_in(service, "two", Crashed(message="killed"))
    run_in(service, "three", Suspended(timeout_seconds=60))
    run_in(service, "four", Completed(message="all done"))
    run_in(service, "not ours", Failed(message="somebody else's"), tag="other")
    wait_until(lambda: len(hook.received) >= 4, 60, "four messages")
    found = {message["run"]: message for message in hook.received}
    assert {name: message["state"] for name, message in found.items()} == {
        "one": "Failed", "two": "Crashed", "three": "Suspended", "four": "Completed",
    }  # fmt: skip
    assert found["one"] == {
        "flow": "align",
        "recipe": "nano",
        "run": "one",
        "id": str(failed),
        "state": "Failed",
        "message": 'BadData: rows.jsonl:3: "x" is not JSON',
        "url": f"{service.url.removesuffix('/api')}/runs/flow-run/{failed}",
        "ranking_page": "",
    }
    assert found["three"]["ranking_page"] == "http://127.0.0.1:4300"


def test_connecting_twice_tells_once_and_removing_tells_nobody(
    service: Service, hook: Hook, notify: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_WEBHOOK_URL", hook.url)
    assert notify("--webhook").exit_code == notify("--webhook").exit_code == 0
    hook.received.clear()
    run_in(service, "first", Completed())
    wait_until(lambda: hook.received, 60, "a message")
    assert "webhook: 3 automations removed" in notify("--webhook", "--remove").output
    assert not [name for name in service.client.read_block_documents_by_type("webhook") if "plumbline" in str(name)]
    run_in(service, "second", Completed())
    with pytest.raises(AssertionError):
        wait_until(lambda: len(hook.received) > 1, 5)
    assert [message["run"] for message in hook.received] == ["first"]


def test_a_mailbox_gets_what_happened_and_where_to_look(
    service: Service, mail: MailServer, notify: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_EMAIL_URL", mail.url)
    result = notify("--email")
    assert result.exit_code == 0, result.output
    mail.received.clear()
    run = run_in(service, "one", Failed(message="BadData: no rows"))
    wait_until(lambda: mail.received, 60, "a mail")
    message = message_from_string(mail.received[0])
    assert message["Subject"] == "plumbline: one is Failed"
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    text = re.sub(r"<[^>]+>", "\n", b"".join(part for part in parts if isinstance(part, bytes)).decode())
    for line in ("Recipe: nano", "Run: align/one", "State: Failed", "BadData: no rows", f"runs/flow-run/{run}"):
        assert line in text


def test_an_address_that_does_not_answer_is_refused_without_being_shown(
    service: Service, hook: Hook, notify: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.status = 403
    monkeypatch.setenv("PLUMBLINE_WEBHOOK_URL", hook.url)
    result = notify("--webhook")
    assert isinstance(result.exception, BadConfig)
    assert "HTTP 403" in str(result.exception)
    assert "secret-path" not in str(result.exception)
    monkeypatch.delenv("PLUMBLINE_WEBHOOK_URL")
    assert "PLUMBLINE_WEBHOOK_URL is not set" in str(notify("--webhook").exception)
    monkeypatch.setenv("PLUMBLINE_SLACK_URL", hook.url)
    assert "does not begin with https://hooks.slack" in str(notify("--slack").exception)
