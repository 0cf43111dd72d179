"""The picture of a run: a box a stage with its state, what it made, and the first digits of the digest."""

from dataclasses import dataclass
from typing import Any

from flows.eyes.states import marked
from flows.eyes.svg import draw
from tasks.report.lineage import ARROWS

COLUMNS = 6
BOX_WIDTH, BOX_HEIGHT = 128.0, 90.0
STEP_X, STEP_Y, MARGIN = 154.0, 136.0, 18.0
DIGEST = 10  # hex digits
# There along the first row, back along the second
PLACES = {
    "world": (0, 0),
    "corpus": (1, 0),
    "tokenizer": (2, 0),
    "pretrain": (3, 0),
    "finetune": (4, 0),
    "candidates": (5, 0),
    "rank": (5, 1),
    "reward": (4, 1),
    "ppo": (3, 1),
    "trl": (3, 1),  # a recipe has one of the two
    "evaluate": (2, 1),
    "report": (1, 1),
}
LOOKS = ("Completed", "Reused", "Running", "Waiting", "Pending")


@dataclass(frozen=True)
class Box:
    """A stage as it is drawn; x and y of the upper left corner."""

    stage: str
    state: str
    look: str
    kind: str
    digest: str
    x: float
    y: float


def lineage(rows: list[dict[str, Any]]) -> str | None:
    """The rows of a run's record as SVG; None for a single stage."""
    boxes = {row["name"]: _box(row) for row in rows if row["name"] in PLACES}
    if len(boxes) < 2:
        return None
    arrows = [
        _arrow(boxes[start], boxes[end])
        for start, end in (("world", "corpus"), *ARROWS)
        if start in boxes and end in boxes
    ]
    return draw(
        "lineage",
        boxes=list(boxes.values()),
        arrows=arrows,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        width=(COLUMNS - 1) * STEP_X + BOX_WIDTH + 2 * MARGIN,
        height=STEP_Y + BOX_HEIGHT + 2 * MARGIN,
    )


def _box(row: dict[str, Any]) -> Box:
    column, line = PLACES[row["name"]]
    state = row["state"]
    return Box(
        stage=row["name"],
        state=marked(state),
        look=state if state in LOOKS else "Bad",
        kind=row["kind"] or "",
        digest=(row["artifact"] or "")[:DIGEST],
        x=MARGIN + column * STEP_X,
        y=MARGIN + line * STEP_Y,
    )


def _arrow(start: Box, end: Box) -> str:
    """Along a row from side to side, else from bottom to top."""
    if start.y == end.y:
        x1, x2 = (start.x + BOX_WIDTH, end.x - 2) if start.x < end.x else (start.x, end.x + BOX_WIDTH + 2)
        return f"M{x1:g} {start.y + BOX_HEIGHT / 2:g}H{x2:g}"
    x1, y1, x2, y2 = start.x + BOX_WIDTH / 2, start.y + BOX_HEIGHT, end.x + BOX_WIDTH / 2, end.y - 2
    middle = (y1 + y2) / 2
    return f"M{x1:g} {y1:g}V{y2:g}" if x1 == x2 else f"M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
