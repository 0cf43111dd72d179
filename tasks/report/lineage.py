"""The picture of the run: a box an artifact with kind and digest, in the order in which they were made."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tasks.artifacts.ref import ArtifactRef

DIGEST = 10  # hex digits shown; 40 bits tell a store's artifacts apart


@dataclass(frozen=True)
class Node:
    """A stage: name, the report's name for its artifact, what it makes and reads, where it is drawn.

    optional: some recipes are without it; it is then not drawn.
    """

    stage: str
    input: str
    kind: str
    reads: tuple[str, ...]
    place: int
    branch: int = 0
    optional: bool = False


NODES = (
    Node("corpus", "corpus", "corpus", (), 0),
    Node("tokenizer", "tokenizer", "tokenizer", ("corpus",), 1),
    Node("pretrain", "base", "model", ("corpus", "tokenizer"), 2),
    Node("finetune", "finetuned", "adapter", ("pretrain",), 3),
    Node("candidates", "candidates", "candidates", ("pretrain", "finetune"), 4, 1, optional=True),
    Node("rank", "rankings", "rankings", ("candidates",), 5, 1),
    Node("reward", "reward", "reward", ("pretrain", "finetune", "rank"), 6, 1),
    Node("ppo", "aligned", "adapter", ("corpus", "pretrain", "finetune", "reward"), 7),
    Node("evaluate", "evaluation", "evaluation", ("corpus", "pretrain", "finetune", "reward", "ppo"), 8),
    Node("report", "", "report", ("all of these",), 9),
)
STAGE_OF = {node.input: node.stage for node in NODES if node.input}

# The main path; an artifact that is read again further on would only cross the picture, the table names it.
ARROWS = (
    ("corpus", "tokenizer"),
    ("tokenizer", "pretrain"),
    ("pretrain", "finetune"),
    ("finetune", "candidates"),
    ("candidates", "rank"),
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
    drawn = [node for node in NODES if not node.optional or node.input in refs or node.input in present]
    stages = {node.stage for node in drawn}
    boxes = {node.stage: _box(node, stages, refs, present, wide, step) for node in drawn}
    arrows = [_arrow(boxes[start], boxes[end], size, wide) for start, end in ARROWS if {start, end} <= stages]
    width = max(box.x for box in boxes.values()) + size[0] + 2
    height = max(box.y for box in boxes.values()) + size[1] + 2
    return Picture("wide" if wide else "tall", width, height, *size, list(boxes.values()), arrows)


def _box(
    node: Node,
    stages: Collection[str],
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
        reads=_reads(node, stages),
        here=here,
        x=x + 1,
        y=y + 1,
    )


def _reads(node: Node, stages: Collection[str]) -> str:
    """Without candidates, rank reads data sets alone, as the corpus reads raw text alone."""
    read = [name for name in node.reads if name in stages or node.stage == "report"]
    return ", ".join(read) or {"corpus": "raw text", "rank": "data sets of rankings"}[node.stage]


def _arrow(start: Box, end: Box, size: tuple[float, float], wide: bool) -> str:
    """From the middle of one side to that of the facing one: straight, or an S between two rows."""
    if wide:
        x1, y1, x2, y2 = start.x + size[0], start.y + size[1] / 2, end.x - 2, end.y + size[1] / 2
        return (
            f"M{x1:g} {y1:g}L{x2:g} {y2:g}" if y1 == y2 else f"M{x1:g} {y1:g}C{x2:g} {y1:g} {x1:g} {y2:g} {x2:g} {y2:g}"
        )
    x1, y1, x2, y2 = start.x + size[0] / 2, start.y + size[1], end.x + size[0] / 2, end.y - 2
    return f"M{x1:g} {y1:g}L{x2:g} {y2:g}" if x1 == x2 else f"M{x1:g} {y1:g}C{x1:g} {y2:g} {x2:g} {y1:g} {x2:g} {y2:g}"
