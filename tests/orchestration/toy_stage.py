"""A stage that counts as slowly and as silently as training does, saves now and then, and goes on after a kill."""

import time
from pathlib import Path
from typing import Any

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.stage import stage

EVERY = 20  # steps between two checkpoints
PAUSE = 0.1  # seconds a step


class CountConfig(Strict):
    """How far to count."""

    steps: int = setting(100, "Steps to count.", unit="steps")
    name: str = setting("", "Different names have different artifacts.")
    launch: LaunchConfig = LaunchConfig(threads=1)


@stage(version=1, makes="text", accelerate=True)
def corpus(config: CountConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Count to ``steps``; the metric ``first`` is the step that the last attempt began at."""
    saved = live.work / "saved"
    first = int(saved.read_text(encoding="ascii")) if saved.exists() else 0
    live.start_at(first, "steps")
    for step in range(first + 1, config.steps + 1):
        time.sleep(PAUSE)
        if step % EVERY == 0:
            saved.write_text(str(step), encoding="ascii")
        live.progress(step, config.steps, "steps")
    (out / "count.txt").write_text(str(config.steps), encoding="ascii")
    return {"first": first, "steps": config.steps}
