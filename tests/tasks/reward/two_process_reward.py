"""Started by test_reward_resume.py, by itself and under torchrun: the reward stage on the toy rankings."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from toy_rankings import toy_config

from tasks.inputs import Inputs
from tasks.live import Live
from tasks.reward.train import train_reward


def main(place: Path, name: str, base: str, finetuned: str, rankings: str) -> None:
    """Train, and write what the main process found."""
    accelerator = Accelerator(cpu=True)
    out, work = place / name, place / f"work-{name}"
    for folder in (out, work):
        folder.mkdir(exist_ok=True)
    folders = {"base": Path(base), "finetuned": Path(finetuned), "rankings": Path(rankings)}
    config = toy_config(method="lora", epochs=1, prompts_per_step=47)
    train_reward(config, Inputs(folders=folders), out, Live(work, main=accelerator.is_main_process))
    if accelerator.is_main_process:
        rows = [json.loads(line) for line in (out / "training/curve.jsonl").read_text().splitlines()]
        found = {"processes": accelerator.num_processes, "loss": [row["loss"] for row in rows]}
        (place / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
