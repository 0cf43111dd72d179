"""What was measured on this machine for models of one shape, and where it is kept."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.planner.ppo_flops import Pass
from tasks.planner.ppo_memory import Overhead
from tasks.planner.ppo_work import Work

VERSION = 2  # of the figures: another one is measured anew
FOLDER = "planner"


class Rate(BaseModel):
    """Seconds of a pass: fixed + head operations · head + layers · (launch + block operations · block), less what the
    last layer spares.

    launch: s a layer, whatever it computes; head, block: s an operation.
    """

    fixed: float = 0.0
    head: float = 0.0
    launch: float = 0.0
    block: float = 0.0

    def seconds(self, one: Pass) -> float:
        layers = one.layers * (self.launch + one.block * self.block) - one.spared * self.block
        return self.fixed + one.head * self.head + layers

    @classmethod
    def fit(cls, found: Sequence[tuple[Pass, float]]) -> "Rate":
        """From measured passes (pass, seconds): few and more rows, each at two numbers of layers.

        The difference of the layers is what layers cost, the rest is fixed or the head's. Neither is ever negative.
        """
        pairs = [
            (few, many)
            for few in found
            for many in found
            if many[0].block == few[0].block and many[0].layers > few[0].layers
        ]
        each = [max(many[1] - few[1], 0.0) / (many[0].layers - few[0].layers) for few, many in pairs]
        launch, block = _line([(few[0].block, seconds) for (few, _), seconds in zip(pairs, each, strict=True)])
        if not pairs:  # no layers in this pass
            pairs, each = [(one, one) for one in found], [0.0] * len(found)
        rest = [
            (few[0].head, max(few[1] - few[0].layers * seconds + few[0].spared * block, 0.0))
            for (few, _), seconds in zip(pairs, each, strict=True)
        ]
        fixed, head = _line(rest)
        return cls(fixed=fixed, head=head, launch=launch, block=block)


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Start and slope through the smallest and the largest point, neither below 0."""
    if not points:
        return 0.0, 0.0
    (small, low), (large, high) = min(points), max(points)
    if large == small:
        return high, 0.0
    slope = (high - low) / (large - small)
    if slope <= 0:
        return (low + high) / 2, 0.0
    start = high - slope * large
    return (start, slope) if start >= 0 else (0.0, high / large)


class Profile(BaseModel):
    """Of one machine and shape. Times are CPU seconds with one thread, else seconds.

    imports, first_use: bytes. holes: as in ``Overhead``. host: s a sampled token beside the passes,
    for texts, scores and statistics. start: s of imports. threads, rows, tokens: what was measured with.
    """

    version: int = VERSION
    rates: dict[str, Rate]
    imports: float
    first_use: float
    holes: tuple[float, float]
    host: float
    start: float
    threads: int
    rows: int
    tokens: int

    @property
    def overhead(self) -> Overhead:
        return Overhead(self.imports, self.first_use, self.holes)


def profile_path(home: Path, work: Work, threads: int) -> Path:
    """Where the profile of this kind of work lies: numbers of layers, rows and tokens do not matter to it."""
    shapes = [replace(work.shape, layers=1), work.reward.whole and replace(work.reward.whole, layers=1)]
    about = {
        "version": VERSION,
        "shapes": [shape and asdict(shape) for shape in shapes],
        "adapters": [one and one.model_dump(mode="json") for one in (work.learned, work.critic_lora)],
        "merge": work.config.merge_for_sampling,
        "reward": [work.reward.rank, work.reward.last],
        "threads": threads,
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return home / FOLDER / f"ppo-{digest[:16]}.json"


def load_profile(path: Path) -> Profile | None:
    """What was measured, or None. A file that cannot be read counts as none: it is measured again."""
    try:
        found = Profile.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return found if found.version == VERSION else None
