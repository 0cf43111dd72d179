"""Signs of the states a run or a stage can be in."""

MARKS = {
    "Completed": "✓",
    "Reused": "↺",
    "Running": "▶",
    "Waiting": "⏸",
    "Paused": "⏸",
    "Pending": "·",
}


def marked(state: str) -> str:
    """ "✓ Completed"; what is not in the table ended badly."""
    return f"{MARKS.get(state, '✗')} {state}"
