"""Fixtures of the PPO tests; the tiny models and folders are made in ppo_parts.py."""

from pathlib import Path

import pytest
from accelerate import Accelerator
from ppo_parts import WORDS, Parts, byte_tokenizer, write_parts
from transformers import PreTrainedTokenizerFast

from tasks.ppo.processes import Processes


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer(WORDS)


@pytest.fixture
def processes() -> Processes:
    return Processes(Accelerator(cpu=True))


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return write_parts(tmp_path)
