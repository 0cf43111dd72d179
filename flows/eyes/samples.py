"""What the models say, side by side: prompts and answers as a Markdown table, for a person to read."""

import json
from collections.abc import Mapping
from typing import Any

from flows.eyes.markdown import plain, table, wrapped
from tasks.report.numbers import number, show

FILE = "samples.jsonl"
SHOWN = 8  # prompts
WIDTHS = {2: 37, 3: 25}  # number of columns of answers → characters of a line: what fits into the UI's page
PROMPT_WIDTH, LIMIT = 22, 480  # characters of a line of the prompt, and of any text
# stage → columns as (heading, name in the file)
COLUMNS = {
    "ppo": (("before PPO", "start"), ("after PPO", "aligned")),
    "trl": (("before", "start"), ("after", "aligned")),
    "evaluate": (("base", "base"), ("fine-tuned", "finetuned"), ("aligned", "aligned")),
}


def samples(stage: str, text: str) -> str | None:
    """The first prompts of a stage's samples with every model's answer; None when there are none."""
    rows = [json.loads(line) for line in text.splitlines()[:SHOWN] if line.strip()]
    if not rows:
        return None
    columns = COLUMNS[stage]
    cells = [
        [
            wrapped(str(row.get("prompt", "")), PROMPT_WIDTH, LIMIT),
            *(_answer(row, name, WIDTHS[len(columns)]) for _, name in columns),
        ]
        for row in rows
    ]
    note = "✓ and ✗ say whether an answer does what the prompt asked. " if stage == "evaluate" else ""
    return "\n\n".join(
        [
            table(["prompt", *(heading for heading, _ in columns)], cells),
            note + "The number is the reward model's score: compare it within a row only.",
        ]
    )


def _answer(row: Mapping[str, Any], name: str, width: int) -> str:
    text = wrapped(str(row.get(name, "")), width, LIMIT) or "*(empty)*"
    rewards, follows = row.get("reward"), row.get("follows")
    reward = number(row.get(f"{name}_reward") if not isinstance(rewards, dict) else rewards.get(name))
    mark = follows.get(name) if isinstance(follows, dict) else None
    sign = "" if mark is None else "✓ " if mark else "✗ "
    return f"{text}<br>**{sign}{plain(show(reward))}**"
