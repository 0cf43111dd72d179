"""One Prefect server for the tests of a file, and a worker that is started when a test asks for it."""

from collections.abc import Iterator

import pytest
from postgres import database_settings
from service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running server with the pool plumbline and no worker. See service.py; Postgres by a switch of postgres.py."""
    with database_settings() as settings, Service(tmp_path_factory.mktemp("service"), settings=settings) as running:
        yield running


@pytest.fixture
def worker(service: Service) -> Iterator[Service]:
    """The same server, with one worker for this test."""
    service.start_worker()
    yield service
    for name in list(service.workers):
        service.stop_worker(name)
