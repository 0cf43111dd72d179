"""Launches under which PPO would not compute what it says are refused, with what to set."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from tasks.failures import BadConfig
from tasks.ppo.supported import check_supported

# Each process says it in a file of its own: lines of two processes in one pipe can run into each other
JOB = """
import sys
from pathlib import Path
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from tasks.failures import BadConfig
from tasks.ppo.supported import check_supported
accelerator = Accelerator(cpu=True, fsdp_plugin=FullyShardedDataParallelPlugin(fsdp_version=2))
assert accelerator.num_processes == 2
try:
    check_supported(accelerator)
except BadConfig as error:
    Path(sys.argv[1], f"refused-{accelerator.process_index}.txt").write_text(str(error), encoding="utf-8")
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """accelerate keeps one state a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_one_process_in_float32_is_supported() -> None:
    check_supported(Accelerator(cpu=True))


def test_other_precisions_are_refused() -> None:
    with pytest.raises(BadConfig, match=r"mixed_precision=bf16.*set mixed_precision to 'no'"):
        check_supported(Accelerator(cpu=True, mixed_precision="bf16"))


def test_accumulation_by_accelerate_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"gradient_accumulation_steps=3.*ppo\.micro_batch"):
        check_supported(Accelerator(cpu=True, gradient_accumulation_steps=3))


def test_sharded_weights_are_refused_in_every_process(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB, encoding="utf-8")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", job, tmp_path],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_FSDP": "true"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [file.read_text(encoding="utf-8") for file in sorted(tmp_path.glob("refused-*.txt"))]
    assert len(said) == 2
    assert all("distributed_type=FSDP" in line and "ppo.merge_for_sampling=false" in line for line in said)
