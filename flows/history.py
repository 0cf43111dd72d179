"""Keep the embedded server's history whole: it forgets task runs that are not final when the process ends."""

import time


def wait_until_recorded(patience: float = 10.0) -> bool:
    """Wait until every task run of the newest flow run is final on the server; False when time ran out."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import FlowRunSort

    limit = time.monotonic() + patience
    with get_client(sync_client=True) as client:
        newest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
        if not newest:
            return True
        only = FlowRunFilter(id=FlowRunFilterId(any_=[newest[0].id]))
        while time.monotonic() < limit:
            runs = client.read_task_runs(flow_run_filter=only)
            if all(run.state is not None and run.state.is_final() for run in runs):
                return True
            time.sleep(0.1)
    return False
