"""What a stage must hold while it computes: devices of this host, and slots of the Prefect limit of their class.

A limit bounds a class over all hosts: ``plumbline-gpu-CLASS``, or ``plumbline-cpu`` where there is no GPU. Without
one nothing waits. A stage that is reused takes neither.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from uuid import UUID

from configs.schema.launch import LaunchConfig
from tasks.devices import Device, environment, lock_devices, usable_devices
from tasks.failures import BadConfig

# Seconds after which the server takes a dead holder's slot back; it accepts no less than 60
LEASE_SECONDS = 60.0
LOOK_EVERY = 2.0
CPU_LIMIT = "plumbline-cpu"


def gpu_limit(kind: str) -> str:
    """Name of the limit of a device class."""
    return f"plumbline-gpu-{kind}"


@contextmanager
def hold_slots(
    stage: str,
    launch: LaunchConfig,
    processes: int,
    run: str,
    flow_run: str | None,
    say: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[dict[str, str]]:
    """Wait for the devices of a stage, then for its slots; yields the environment of its processes.

    Devices come first, so that a run which waits on a busy host takes no slot from an idle one. Raises BadConfig when
    the host has too few devices, and whatever ``check`` raises.
    """
    devices = choose(usable_devices(), stage, launch, processes)
    holder = {"run": run, "stage": stage, "pid": os.getpid()}
    with ExitStack() as stack:
        held = stack.enter_context(lock_devices(devices, processes, holder, say, check)) if devices else []
        slots = Counter(gpu_limit(device.kind) for device in held) or {CPU_LIMIT: 1}
        if flow_run is not None:
            for name in sorted(slots):
                stack.enter_context(_hold_limit(name, slots[name], UUID(flow_run), say, check))
        yield environment(held)


def choose(devices: list[Device], stage: str, launch: LaunchConfig, processes: int) -> list[Device]:
    """The devices that a stage may use. Raises BadConfig when they are too few for its processes."""
    kind = launch.device_class
    fit = [device for device in devices if kind in (None, device.kind)]
    if kind is not None and not fit:
        there = ", ".join(sorted({device.kind for device in devices})) or "no GPU"
        raise BadConfig(f"{stage}.launch.device_class={kind!r}, but this host has {there}; change it or run elsewhere")
    if fit and processes > len(fit):
        raise BadConfig(
            f"{stage}.launch.processes={processes}, but {len(fit)} GPU(s) can be used here, with CUDA_VISIBLE_DEVICES="
            f"{os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}; lower {stage}.launch.processes"
        )
    return fit


@contextmanager
def _hold_limit(
    name: str, slots: int, flow_run: UUID, say: Callable[[str], None], check: Callable[[], None]
) -> Iterator[None]:
    """Slots of one Prefect limit, renewed while they are held. Nothing happens when there is no such limit.

    A server that is away is waited for before training; after it, the lease ends by itself.
    """
    import httpx
    from prefect.client.schemas.objects import ConcurrencyLeaseHolder
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
    from prefect.concurrency.sync import concurrency

    holder = ConcurrencyLeaseHolder(type="flow_run", id=flow_run)
    said, stack = False, ExitStack()
    while True:
        try:
            if _limited(name, slots):
                # One try at a time: Prefect's own waiting would hear neither a cancel nor a lost lease
                once = concurrency(name, slots, max_retries=0, lease_duration=LEASE_SECONDS, holder=holder)
                stack.enter_context(once)
            break
        except (ConcurrencySlotAcquisitionError, httpx.TransportError) as error:
            if not said:
                say(f"waiting for {slots} slot(s) of the limit {name}: {_reason(error)}")
                said = True
        check()
        time.sleep(LOOK_EVERY)
    try:
        yield
    finally:
        with suppress(httpx.HTTPError):
            stack.close()


def _limited(name: str, slots: int) -> bool:
    """Whether the limit exists and is switched on. Raises BadConfig when it can never be met."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            limit = client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        return False
    if limit.active and 0 < limit.limit < slots:
        raise BadConfig(f"{slots} slots of {name} are needed, its limit is {limit.limit}; plumbline slots --set")
    return limit.active


def _reason(error: Exception) -> str:
    response = getattr(error.__cause__, "response", None)
    if response is not None and response.status_code == 423:
        return "all are taken (plumbline slots shows them)"
    return str(error.__cause__ or error)
