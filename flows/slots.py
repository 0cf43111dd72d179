"""`plumbline slots`: the GPUs of this host and who uses them; the Prefect limits of every device class."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.devices import describe, free_devices, host_devices, read_holder
from tasks.failures import BadConfig
from tasks.slots import CPU_LIMIT, gpu_limit


def print_slots(changes: list[str], as_json: bool) -> None:
    """Set limits ("nvidia-h200=4", "cpu=1"), then show devices and limits. Raises BadConfig."""
    wanted = [_read_change(change) for change in changes]
    server = _server()
    if wanted and not server:
        raise BadConfig("limits live in the Prefect server, and PREFECT_API_URL is not set; plumbline up starts one")
    for name, slots in wanted:
        _set_limit(name, slots)
    devices, limits = host_devices(), _limits() if server else []
    free = free_devices(devices)
    rows = [
        {
            "device": device.name,
            "class": device.kind,
            "free": device in free,
            "holder": {} if device in free else read_holder(device),
        }
        for device in devices
    ]
    if as_json:
        print(json.dumps({"devices": rows, "limits": limits}))
        return
    _show(rows, limits, server)


def _read_change(change: str) -> tuple[str, int]:
    kind, _, number = change.partition("=")
    if not kind or not number.isdigit():
        raise BadConfig(f"--set {change!r}: write CLASS=N, for example nvidia-h200=4 or cpu=1; 0 lets nothing start")
    return (CPU_LIMIT if kind == "cpu" else gpu_limit(kind)), int(number)


def _server() -> str:
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or ""


def _set_limit(name: str, slots: int) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, slots)


def _limits() -> list[dict[str, Any]]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_global_concurrency_limits(limit=200)
    return [
        {"limit": item.name, "slots": item.limit, "taken": item.active_slots, "active": item.active}
        for item in sorted(found, key=lambda item: item.name)
        if item.name == CPU_LIMIT or item.name.startswith(gpu_limit(""))
    ]


def _show(devices: list[dict[str, Any]], limits: list[dict[str, Any]], server: str) -> None:
    console = Console(highlight=False)
    if devices:
        table = Table("device", "class", "used by", title="GPUs of this host", title_justify="left")
        for row in devices:
            table.add_row(row["device"], row["class"], "" if row["free"] else describe(row["holder"]))
        console.print(table, markup=False)
    else:
        console.print("no GPU on this host: stages train on the CPU, as many at once as there are runs")
    if not server:
        console.print("no limits: PREFECT_API_URL is not set, so no server is asked", soft_wrap=True)
    elif limits:
        table = Table("limit", "slots", "taken", title=f"limits at {server}", title_justify="left")
        for row in limits:
            table.add_row(row["limit"], str(row["slots"]) + ("" if row["active"] else " (off)"), str(row["taken"]))
        console.print(table, markup=False)
    else:
        console.print(f"no limits at {server}: GPUs are shared out on each host alone", soft_wrap=True)
    kind = devices[0]["class"] if devices else "cpu"
    command = f"plumbline slots --set {kind}={max(len(devices), 1)}" if server else "plumbline up"
    console.print(f"\nnext: {command}", soft_wrap=True)
