"""Every test has its own home for runs and artifacts, and nothing calls out."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from ranking_sheet import make_sheet  # noqa: F401  a fixture

# The first example imports and allocates; on a loaded machine it takes seconds, which says nothing of the code
# In continuous integration the examples are always the same; `make test` looks for new ones
settings.register_profile(
    "plumbline", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("plumbline")

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
# Two spinning threads under contention are slower than one
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh PLUMBLINE_HOME; settings of the developer's shell do not leak in."""
    home = tmp_path / "home"
    monkeypatch.setenv("PLUMBLINE_HOME", str(home))
    monkeypatch.delenv("PLUMBLINE_STORE", raising=False)
    monkeypatch.delenv("PLUMBLINE_DATA_ROOT", raising=False)
    return home
