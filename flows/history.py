"""Keep the embedded server's history whole: it forgets task runs that are not final when the process ends."""

import time
from uuid import UUID


def wait_until_recorded(flow_run: str | None, patience: float = 10.0) -> bool:
    """Wait until every task run of a flow run is final on the server; False when time ran out."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    if flow_run is None:
        return True
    limit = time.monotonic() + patience
    only = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))
    with get_client(sync_client=True) as client:
        while time.monotonic() < limit:
            runs = client.read_task_runs(flow_run_filter=only)
            if all(run.state is not None and run.state.is_final() for run in runs):
                return True
            time.sleep(0.1)
    return False
