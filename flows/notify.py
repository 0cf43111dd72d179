"""`plumbline notify`: tell Slack, a webhook or a mailbox when a run fails, waits for people, or is finished."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

import typer
from pydantic import SecretStr

from flows.automations import ANY_RUN, OURS, PREFIX, remove, replace
from tasks.failures import BadConfig
from tasks.rank.page.links import page_address

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.actions import CallWebhook, SendNotification

Channel = Literal["slack", "webhook", "email"]
CHANNELS: tuple[Channel, ...] = ("slack", "webhook", "email")
OCCASIONS = {
    "failure": ("Failed", "Crashed", "TimedOut"),
    "waiting": ("Paused", "Suspended"),
    "finish": ("Completed",),
}
# Channel: where its address is read from, how it begins, and an example
ADDRESSES: dict[Channel, tuple[str, tuple[str, ...], str]] = {
    "slack": ("PLUMBLINE_SLACK_URL", ("https://hooks.slack",), "https://hooks.slack.com/services/T…/B…/…"),
    "webhook": ("PLUMBLINE_WEBHOOK_URL", ("http://", "https://"), "https://example.org/plumbline"),
    "email": (
        "PLUMBLINE_EMAIL_URL",
        ("mailto://", "mailtos://"),
        "mailtos://user:password@smtp.example.org?from=plumbline@example.org&to=me@example.org",
    ),
}
RECIPE = "flow_run.parameters.recipe or flow_run.name"
SUBJECT = "plumbline: {{ flow_run.name }} is {{ flow_run.state.name }}"
BODY = (
    "Recipe: {{ " + RECIPE + " }}\n"
    "Run: {{ flow.name }}/{{ flow_run.name }}\n"
    "State: {{ flow_run.state.name }}\n"
    "Message: {{ flow_run.state.message or 'none' }}\n"
    "Link: @LINK@{{ flow_run.id }}@BODY_PAGE@"
)
FIELDS = {
    "flow": "flow.name",
    "recipe": RECIPE,
    "run": "flow_run.name",
    "id": "flow_run.id | string",
    "state": "flow_run.state.name",
    "message": "flow_run.state.message",
    "url": "('@LINK@' ~ flow_run.id)",
    "ranking_page": "'@PAGE@'",  # empty unless it waits
}
PAYLOAD = "{" + ", ".join(f'"{name}": {{{{ ({value}) | tojson }}}}' for name, value in FIELDS.items()) + "}"


def notify(channels: list[str], remove_them: bool, list_them: bool) -> None:
    """Connect channels, or list or remove what is connected. Raises BadConfig without a server or an address."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise BadConfig("no Prefect server is named that could notify anybody: plumbline up starts one")
    wanted = [channel for channel in CHANNELS if channel in channels]
    with get_client(sync_client=True) as client:
        if list_them:
            _list(client)
        elif remove_them:
            for channel in wanted or CHANNELS:
                _disconnect(client, channel)
            print("next: plumbline notify --list")
        elif wanted:
            for channel in wanted:
                names = _connect(client, channel, _address(channel))
                print(f"{channel}: a test message was delivered; " + ", ".join(names))
            print("next: plumbline notify --list")
        else:
            raise BadConfig("name a channel: --slack, --webhook, --email; or --list, --remove")


def _address(channel: Channel) -> str:
    """From the environment or a hidden prompt: never from the command line, which every user of a machine can read."""
    variable, beginnings, example = ADDRESSES[channel]
    address = os.environ.get(variable) or ""
    if not address and sys.stdin.isatty():
        address = typer.prompt(f"Address of {channel}, like {example}", hide_input=True)
    if not address.startswith(beginnings):
        found = "is not set" if not address else f"does not begin with {' or '.join(beginnings)}"
        raise BadConfig(f"{variable} {found}; set it to an address like {example}")
    return address


def _connect(client: "SyncPrefectClient", channel: Channel, address: str) -> list[str]:
    """Send a test message, keep the address as an encrypted block, and register the automations."""
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    action = _block(channel, address)
    link = f"{_ui(client)}/runs/flow-run/"
    return replace(
        client,
        [
            AutomationCore(
                name=_name(channel, occasion),
                description=f"Tells {channel} of runs that are {' or '.join(states)}.",
                trigger=EventTrigger(
                    posture=Posture.Reactive,
                    expect={f"prefect.flow-run.{state}" for state in states},
                    match=ANY_RUN,
                    match_related=OURS,
                    for_each={"prefect.resource.id"},
                    threshold=1,
                    within=timedelta(0),
                ),
                actions=[action(link, occasion)],
            )
            for occasion, states in OCCASIONS.items()
        ],
    )


def _block(channel: Channel, address: str) -> Callable[[str, str], "CallWebhook | SendNotification"]:
    """Save the block; returns what makes the action that uses it, given the beginning of a run's link."""
    from prefect.blocks.notifications import SlackWebhook
    from prefect.blocks.webhook import Webhook
    from prefect.events.actions import CallWebhook, SendNotification
    from prefect.types import SecretDict

    hello = "plumbline will tell you here when a run fails, waits for people, or is finished."
    name = f"plumbline-{channel}"
    if channel == "webhook":
        hook = Webhook(url=SecretStr(address), headers=SecretDict({"Content-Type": "application/json"}))
        _deliver(channel, lambda: _call(hook, {"message": hello}))
        block = cast(UUID, hook.save(name, overwrite=True))
        return lambda link, occasion: CallWebhook(block_document_id=block, payload=_fill(PAYLOAD, link, occasion))
    # Prefect hands every address that is not Slack's to Apprise, which knows mailto and a hundred more
    message = SlackWebhook(url=SecretStr(address))
    _deliver(channel, lambda: _send(message, hello))
    block = cast(UUID, message.save(name, overwrite=True))
    return lambda link, occasion: SendNotification(
        block_document_id=block, subject=SUBJECT, body=_fill(BODY, link, occasion)
    )


def _fill(template: str, link: str, occasion: str) -> str:
    """Link of the run, and, for one that waits, of the page on which people rank."""
    wanted = {"@LINK@": link, "@BODY_PAGE@": "", "@PAGE@": ""}
    if occasion == "waiting":
        wanted["@PAGE@"] = page_address()
        wanted["@BODY_PAGE@"] = f"\nRanking page: {page_address()} (links: Resume dialog, plumbline status)"
    for mark, text in wanted.items():
        template = template.replace(mark, text)
    return template


def _deliver(channel: Channel, send: Callable[[], None]) -> None:
    """Raise BadConfig, without the address, when the test message does not arrive."""
    import httpx
    from prefect.blocks.abstract import NotificationError

    try:
        send()
    except (httpx.HTTPError, NotificationError, ValueError) as error:
        status = isinstance(error, httpx.HTTPStatusError) and error.response.status_code
        reason = f"HTTP {status}" if status else type(error).__name__
        variable = ADDRESSES[channel][0]
        raise BadConfig(f"{channel}: the test message was not delivered ({reason}); check {variable}") from None


def _call(hook: Any, payload: dict[str, str]) -> None:
    import asyncio

    asyncio.run(hook.call(payload)).raise_for_status()


def _send(message: Any, text: str) -> None:
    with message.raise_on_failure():
        message.notify(text, subject="plumbline is connected")


def _ui(client: "SyncPrefectClient") -> str:
    """Address of the server's pages, as a person's browser knows it: PREFECT_UI_URL, else beside the API."""
    from prefect.settings import PREFECT_UI_URL

    return (PREFECT_UI_URL.value() or str(client.api_url).rstrip("/").removesuffix("/api")).rstrip("/")


def _name(channel: Channel, occasion: str) -> str:
    return f"{PREFIX}tell {channel} of {occasion}"


def _disconnect(client: "SyncPrefectClient", channel: Channel) -> None:
    removed = sum(remove(client, _name(channel, occasion)) for occasion in OCCASIONS)
    slug = "webhook" if channel == "webhook" else "slack-webhook"
    found = client.read_block_documents_by_type(slug)
    for block in found:
        if block.name == f"plumbline-{channel}":
            client.delete_block_document(block.id)
    print(f"{channel}: {removed} automations removed")


def _list(client: "SyncPrefectClient") -> None:
    names = sorted(item.name for item in client.read_automations() if item.name.startswith(f"{PREFIX}tell "))
    print("\n".join(names) or "nobody is told of anything")
    print("next: plumbline notify --webhook   (or --slack, --email, --remove)")
