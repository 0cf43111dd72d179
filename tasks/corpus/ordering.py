"""Which documents make up the mix, how often, and in which order: by content hash and seed alone.

Shapes: N documents, S sources, K stages, M places in the result. digests: uint8 [N, 16], `folded_digest` of each
document, no two alike. Neither the order in which documents come nor how they lie in shards matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.document import share_of
from tasks.corpus.proportions import Floats, Int64, MixPlan
from tasks.failures import BadData

Digests = NDArray[np.uint8]
NEAR = 0.01  # of a share; one that is further off is reported


@dataclass(frozen=True, slots=True)
class Mixed:
    """documents: [M] positions, in training order. copies: [M] how often each was seen before.

    ends: [K] where each stage ends. tokens: [K, S] realised. warnings: realised shares that are off by more than 1 %.
    """

    documents: Int64
    copies: Int64
    ends: Int64
    tokens: Int64
    warnings: tuple[str, ...] = ()

    def shares(self) -> Floats:
        """[K, S] realised shares in each stage's tokens."""
        shares: Floats = self.tokens / np.maximum(self.tokens.sum(axis=1, keepdims=True), 1)
        return shares


def order_documents(digests: Digests, sources: Int64, epochs: Floats, seed: int) -> Int64:
    """[M] positions when there is no mix: each document as often as ``epochs`` [S] of its source says, shuffled.

    The same as `mix.mix`: a fraction of an epoch takes the documents whose content hash is below it.
    """
    whole = np.floor(epochs).astype(np.int64)
    times = whole[sources]
    partly = np.flatnonzero((epochs - whole)[sources] > 0)
    times[partly] += _draws(digests[partly], "epochs", seed) < (epochs - whole)[sources[partly]]
    documents, copies = _repeated(np.arange(len(digests)), times)
    return documents[np.lexsort((documents, copies, _keys(digests, documents, copies, "order", seed)))]


def order_mix(
    plan: MixPlan,
    names: list[str],
    digests: Digests,
    sources: Int64,
    tokens: Int64,
    seed: int,
    values: Mapping[str, Floats] | None = None,
) -> Mixed:
    """Documents of each stage in order. tokens: [N]. values: [N] of each field that a stage orders by, "quality".

    Each source is a stream: its documents shuffled, then all again in another order, and so on. The stages take
    from it in turn, each until the document whose end is nearest to the planned tokens; so no document comes again
    before all of its source were seen, and a share is off by one document at most.
    """
    stages, count = len(plan.stages), len(names)
    planned = np.cumsum([stage.tokens for stage in plan.stages], axis=0)  # [K, S]
    none = np.zeros(0, dtype=np.int64)
    parts: list[list[tuple[Int64, Int64]]] = [[(none, none)] for _ in range(stages)]
    realised = np.zeros((stages, count), dtype=np.int64)
    for source in range(count):
        own = np.flatnonzero(sources == source)
        if not planned[-1, source] or not len(own):
            continue
        documents, copies = _stream(digests, own, tokens, float(planned[-1, source]), seed)
        sums = np.concatenate(([0], np.cumsum(tokens[documents])))
        cuts = np.concatenate(([0], [_nearest(sums, goal) for goal in planned[:, source].tolist()]))
        for stage in range(stages):
            chosen = slice(cuts[stage], cuts[stage + 1])
            parts[stage].append((documents[chosen], copies[chosen]))
            realised[stage, source] = sums[cuts[stage + 1]] - sums[cuts[stage]]
    ordered = []
    fields = {"length": tokens, **(values or {})}
    for number, (stage_plan, part) in enumerate(zip(plan.stages, parts, strict=True)):
        documents, copies = (np.concatenate([pair[which] for pair in part]) for which in (0, 1))
        keys = _keys(digests, documents, copies, f"mix {number}", seed)
        order = np.lexsort((copies, keys))
        if stage_plan.order != "shuffle":
            if stage_plan.order not in fields:
                raise BadData(
                    f"stage {stage_plan.name!r}: documents have no {stage_plan.order!r} to be ordered by; set its "
                    f"order to shuffle or length"
                )
            order = np.lexsort((copies, keys, fields[stage_plan.order][documents]))
        ordered.append((documents[order], copies[order]))
    return Mixed(
        np.concatenate([documents for documents, _ in ordered]),
        np.concatenate([copies for _, copies in ordered]),
        np.cumsum([len(documents) for documents, _ in ordered]),
        realised,
        _warnings(plan, names, realised, sources, tokens),
    )


def _stream(digests: Digests, own: Int64, tokens: Int64, goal: float, seed: int) -> tuple[Int64, Int64]:
    """Documents of one source, epoch after epoch, to the goal at least; and each one's copy."""
    size = int(tokens[own].sum())
    rounds = int(np.ceil(goal / size)) if size else 0
    documents, copies = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for copy in range(rounds):
        documents.append(own[np.argsort(_draws(digests[own], f"order {copy}", seed), kind="stable")])
        copies.append(np.full(len(own), copy))
    return np.concatenate(documents), np.concatenate(copies)


def _nearest(sums: Int64, goal: float) -> int:
    """Position of the sum that is nearest to the goal, the smaller of two."""
    after = min(int(np.searchsorted(sums, goal)), len(sums) - 1)
    before = max(after - 1, 0)
    return before if goal - sums[before] <= sums[after] - goal else after


def _repeated(documents: Int64, times: Int64) -> tuple[Int64, Int64]:
    """Each document as many times, and the number of each copy from 0."""
    copies = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(documents, times), copies


def _draws(digests: Digests, purpose: str, seed: int) -> Floats:
    """`share_of` of each digest."""
    rows = np.ascontiguousarray(digests).tobytes()
    return np.fromiter(
        (share_of(rows[start : start + 16], purpose, seed) for start in range(0, len(rows), 16)),
        dtype=np.float64,
        count=len(digests),
    )


def _keys(digests: Digests, documents: Int64, copies: Int64, purpose: str, seed: int) -> Floats:
    """Drawn from each document's content and copy."""
    keys = np.empty(len(documents), dtype=np.float64)
    for copy in np.unique(copies).tolist():
        own = copies == copy
        keys[own] = _draws(digests[documents[own]], f"{purpose} {copy}", seed)
    return keys


def _warnings(plan: MixPlan, names: list[str], realised: Int64, sources: Int64, tokens: Int64) -> tuple[str, ...]:
    lines = []
    for stage, got in zip(plan.stages, realised, strict=True):
        wanted = stage.tokens / max(stage.tokens.sum(), 1)
        shares = got / max(got.sum(), 1)
        for source in np.flatnonzero(np.abs(shares - wanted) > NEAR * wanted).tolist():
            longest = int(tokens[sources == source].max(initial=0))
            lines.append(
                f"stage {stage.name!r}, source {names[source]!r}: share {shares[source]:.4f} where "
                f"{wanted[source]:.4f} was planned; a document has up to {longest:,} tokens: raise mix.tokens or "
                f"split long documents"
            )
    return tuple(lines)
