"""The tiny folders of the PPO tests, and rankings of two words beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ppo"))

from trl_parts import TrlParts, write_trl_parts


@pytest.fixture
def parts(tmp_path: Path) -> TrlParts:
    return write_trl_parts(tmp_path)
