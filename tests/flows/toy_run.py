"""A run with one toy stage, in a process of its own: ``python toy_run.py SECONDS`` trains for so long."""

import sys
import time
from pathlib import Path
from typing import Any

from configs.recipe import load_recipe
from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import Run
from tasks.stage import stage


class ToyConfig(Strict):
    """How long to train, and how it ends."""

    seconds: float = setting(0.0, "Time that training takes.", unit="s", keyed=False)
    text: str = setting("hello", "What to write.")
    fail: bool = setting(False, "End with an error.", keyed=False)
    launch: LaunchConfig = setting(LaunchConfig(grace_seconds=2), "How it is started.", keyed=False)


@stage(version=1, makes="text", gpu=True)
def corpus(config: ToyConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Report ten steps a second."""
    (out / "text.txt").write_text(config.text, encoding="utf-8")
    begin = time.monotonic()
    live.progress(0, 1000, "steps", loss=2.5)
    while time.monotonic() - begin < config.seconds:
        time.sleep(0.1)
        live.progress(int((time.monotonic() - begin) * 10), 1000, "steps", loss=1.25)
    if config.fail:
        raise ValueError("asked to fail")
    return {"length": len(config.text)}


def toy_run(config: ToyConfig, *changes: str) -> Run:
    """A run without Prefect, ended as flows/engine.py ends it."""
    run = Run.begin(load_recipe("nano", list(changes)), ["corpus"])
    try:
        corpus.execute(run, config, {})
    except BaseException as error:
        run.end("Failed" if isinstance(error, Exception) else "Cancelled")
        raise
    run.end("Completed")
    return run


if __name__ == "__main__":
    from toy_run import ToyConfig as Config  # the child imports this module by its name
    from toy_run import toy_run as start

    start(Config(seconds=float(sys.argv[1])))
