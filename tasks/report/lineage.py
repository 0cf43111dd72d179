"""The picture of the run: a box an artifact with kind and digest, in the order in which they were made."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tasks.artifacts.ref import ArtifactRef

DIGEST = 10  # hex digits shown; 40 bits tell a store's artifacts apart


@dataclass(frozen=True)
class Node:
    """A stage: name, the report's name for its artifact, what it makes and reads, where it is drawn."""

    stage: str
    input: str
    kind: str
    reads: tuple[str, ...]
    place: int
    branch: int = 0


NODES = (
    Node("corpus", "corpus", "corpus", (), 0),
    Node("tokenizer", "tokenizer", "tokenizer", ("corpus",), 1),
    Node("pretrain", "base", "model", ("corpus", "tokenizer"), 2),
    Node("finetune", "finetuned", "adapter", ("pretrain",), 3),
    Node("rank", "rankings", "rankings", ("pretrain", "finetune"), 4, 1),
    Node("reward", "reward", "reward", ("pretrain", "finetune", "rank"), 5, 1),
    Node("ppo", "aligned", "adapter", ("pretrain", "finetune", "reward"), 6),
    Node("evaluate", "evaluation", "evaluation", ("corpus", "pretrain", "finetune", "reward", "ppo"), 7),
    Node("report", "", "report", ("all of these",), 8),
)
STAGE_OF = {node.input: node.stage for node in NODES if node.input}

# The main path; an artifact that is read again further on would only cross the picture, the table names it.
ARROWS = (
    ("corpus", "tokenizer"),
    ("tokenizer", "pretrain"),
    ("pretrain", "finetune"),
    ("finetune", "rank"),
    ("finetune", "ppo"),
    ("rank", "reward"),
    ("reward", "ppo"),
    ("ppo", "evaluate"),
    ("evaluate", "report"),
)


@dataclass(frozen=True)
class Box:
    """A drawn stage. Coordinates of its upper left corner, in the picture's own units."""

    stage: str
    kind: str
    digest: str
    full_digest: str
    reads: str
    here: bool
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """Boxes and arrow paths of one layout."""

    name: str
    width: float
    height: float
    box_width: float
    box_height: float
    boxes: list[Box]
    arrows: list[str]


def lineage(refs: Mapping[str, ArtifactRef], present: Collection[str], wide: bool) -> Picture:
    """Lay the stages out from left to right (``wide``) or from top to bottom, for narrow screens."""
    size, step = ((96.0, 62.0), (115.0, 84.0)) if wide else ((132.0, 56.0), (160.0, 82.0))
    boxes = {node.stage: _box(node, refs, present, wide, step) for node in NODES}
    arrows = [_arrow(boxes[start], boxes[end], size, wide) for start, end in ARROWS]
    width = max(box.x for box in boxes.values()) + size[0] + 2
    height = max(box.y for box in boxes.values()) + size[1] + 2
    return Picture("wide" if wide else "tall", width, height, *size, list(boxes.values()), arrows)


def _box(
    node: Node,
    refs: Mapping[str, ArtifactRef],
    present: Collection[str],
    wide: bool,
    step: tuple[float, float],
) -> Box:
    ref = refs.get(node.input)
    is_report = node.stage == "report"
    here = is_report or node.input in present or ref is not None
    digest = ref.digest.removeprefix("sha256:") if ref else ""
    along, across = node.place * step[0 if wide else 1], node.branch
    x, y = (along, (1 - across) * step[1]) if wide else (across * step[0], along)
    return Box(
        stage=node.stage,
        kind=ref.kind if ref else node.kind,
        digest="this page" if is_report else digest[:DIGEST] if digest else "" if here else "not given",
        full_digest=digest,
        reads=", ".join(node.reads) or "raw text",
        here=here,
        x=x + 1,
        y=y + 1,
    )


def _arrow(start: Box, end: Box, size: tuple[float, float], wide: bool) -> str:
    """From the middle of one side to that of the facing one: straight, or an S between two rows."""
    if wide:
        x1, y1, x2, y2 = start.x + size[0], start.y + size[1] / 2, end.x - 2, end.y + size[1] / 2
        return (
            f"M{x1:g} {y1:g}L{x2:g} {y2:g}" if y1 == y2 else f"M{x1:g} {y1:g}C{x2:g} {y1:g} {x1:g} {y2:g} {x2:g} {y2:g}"
        )
    x1, y1, x2, y2 = start.x + size[0] / 2, start.y + size[1], end.x + size[0] / 2, end.y - 2
    return f"M{x1:g} {y1:g}L{x2:g} {y2:g}" if x1 == x2 else f"M{x1:g} {y1:g}C{x1:g} {y2:g} {x2:g} {y1:g} {x2:g} {y2:g}"
