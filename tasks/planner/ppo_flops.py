"""Floating-point operations of PPO's passes and phases. A multiplication and its addition are two."""

from dataclasses import dataclass

from configs.schema.training import LoraSettings
from tasks.planner.ppo_work import Work
from tasks.planner.shape import ModelShape


@dataclass(frozen=True)
class Pass:
    """One kind of pass. ``block``: operations of one layer; ``head``: of what comes after the layers.

    ``spared``: operations of a layer that the last one does not make, since nobody reads what they would give.
    """

    kind: str
    shape: ModelShape
    block: float
    head: float
    layers: int
    spared: float = 0.0

    @property
    def total(self) -> float:
        return self.layers * self.block + self.head - self.spared


def block_flops(shape: ModelShape, rows: int, tokens: int, seen: float, lora: LoraSettings | None) -> float:
    """One layer forward: matrices, adapters, and attention of each of ``tokens`` a row to ``seen`` others."""
    matrices = shape.block()
    adapters = 0.0
    if lora is not None:
        adapters = shape.adapter_parameters(lora.rank, lora.targets) / shape.layers
    attention = 2 * shape.heads * shape.head_size * seen
    return 2.0 * rows * tokens * (sum(one.weights for one in matrices) + adapters + attention)


def passes(work: Work) -> dict[str, tuple[Pass, float]]:
    """Every kind of pass of an iteration, and how often it is made."""
    lengths, rows, config = work.lengths, work.rows, work.config
    sampled, read = rows / work.sampled, rows / work.read_rows
    sampler = None if work.merged_parameters or work.learned is None else work.learned
    found = {
        "prefill": (one_pass(work, "prefill", work.sampled, sampler), sampled),
        "step": (one_pass(work, "step", work.sampled, sampler), sampled * (lengths.answer - 1)),
        "own": (one_pass(work, "own", work.read_rows, work.learned), read),
        "reference": (one_pass(work, "reference", work.read_rows, None), read),
        "values": (one_pass(work, "values", work.read_rows, work.critic_lora), read),
        "learn": (one_pass(work, "learn", work.learn_rows, work.learned), work.learn_passes),
        "fit": (one_pass(work, "fit", work.learn_rows, work.critic_lora), work.learn_passes),
        "optimise": (one_pass(work, "optimise", 1, None), config.update_steps),
    }
    if not work.reward.none:
        lora = LoraSettings(rank=work.reward.rank, targets=work.reward.targets) if work.reward.rank else None
        count = work.reward.members * rows / work.scored_rows
        found["score"] = (one_pass(work, "score", work.scored_rows, lora), count)
    if work.merged_parameters:
        found["refresh"] = (one_pass(work, "refresh", 1, None), 1)
    if config.ptx.coefficient:
        found["ptx"] = (one_pass(work, "ptx", config.ptx.batch, work.learned), config.update_steps)
    return found


def spared_flops(shape: ModelShape, rows: int, tokens: int, asked: int, lora: LoraSettings | None) -> float:
    """What the last layer leaves out where ``asked`` of ``tokens`` columns are read: all but its keys and values."""
    if not shape.spares:
        return 0.0
    kept = [one for one in shape.block() if one.name.endswith(("k_proj", "v_proj"))]
    adapted = {one.name: one.adapter(lora.rank) for one in shape.adapted(lora.targets)} if lora is not None else {}
    needed = sum(one.weights + adapted.get(one.name, 0) for one in kept)
    return (1 - asked / tokens) * (block_flops(shape, rows, tokens, tokens, lora) - 2.0 * rows * tokens * needed)


def one_pass(work: Work, kind: str, rows: int, lora: LoraSettings | None, answer: int = 0) -> Pass:
    """Operations of one pass of ``rows`` answers. ``answer``: their tokens, those of the work when 0."""
    answer = answer or work.lengths.answer
    prompt, row = work.lengths.prompt, work.lengths.prompt + answer
    shape = work.shape
    if kind in ("values", "fit"):
        if lora is None:
            wide = (2 * shape.hidden + 1) * shape.hidden
            return Pass(kind, shape, 0.0, (6.0 if kind == "fit" else 2.0) * rows * answer * wide, 0)
        shape = work.critic_shape
    if kind == "score":
        shape = work.reward.whole or shape
    if kind == "optimise":
        return Pass(kind, shape, *_shares(work, 10.0 * (work.policy_parameters + work.critic_parameters)))
    if kind == "refresh":
        rank = work.config.lora.rank
        return Pass(kind, shape, *_shares(work, 2.0 * (rank + 1) * work.merged_parameters))
    tokens, seen = {"prefill": (prompt, prompt), "step": (1, prompt + answer / 2)}.get(kind, (row, row))
    if kind == "ptx":
        tokens = seen = work.config.ptx.max_length
    block = block_flops(shape, rows, tokens, seen, lora)
    scored = {"prefill": 1, "step": 1, "own": answer, "reference": answer, "learn": answer, "ptx": tokens}.get(kind, 0)
    head = 2.0 * rows * scored * shape.embeddings
    asked = {"prefill": tokens, "step": tokens, "ptx": tokens, "score": 1 if work.reward.last else row}.get(
        kind, answer
    )
    spared = spared_flops(shape, rows, tokens, asked, lora)
    if kind in ("learn", "fit", "ptx"):  # backward through frozen matrices costs as much again, through others twice
        frozen = work.learned is not None or kind == "fit"
        adapters = block - block_flops(shape, rows, tokens, seen, None)
        back = 2 + adapters / block if frozen else 3.0
        block, head, spared = back * block, (2 if frozen else 3) * head, back * spared
    return Pass(kind, shape, block, head, shape.layers, spared)


def _shares(work: Work, total: float) -> tuple[float, float, int]:
    """Operations on weights, a layer's and the rest: none of an adapter's lie outside of the layers."""
    outside = 0.0
    if work.learned is None:
        outside = total * (1 - work.shape.layers * sum(m.weights for m in work.shape.block()) / work.shape.parameters)
    return (total - outside) / work.shape.layers, outside, work.shape.layers


PHASES = {
    "sampling": ("prefill", "step"),
    "reference and values": ("own", "reference", "values"),
    "scoring": ("score",),
    "update": ("learn", "fit", "optimise"),
    "ptx": ("ptx",),
    "merging": ("refresh",),
}


def flops(work: Work) -> dict[str, float]:
    """Operations of an iteration by phase."""
    found = passes(work)
    return {
        phase: sum(found[kind][0].total * found[kind][1] for kind in kinds if kind in found)
        for phase, kinds in PHASES.items()
        if any(kind in found for kind in kinds)
    }
