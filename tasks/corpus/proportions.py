"""Tokens of each source in each stage of the mix, from shares, epochs cap and budget. Arithmetic without documents.

Shapes: S sources, K stages. Temperature as in Devlin et al. (multilingual BERT, 2018) and Conneau et al. 2020, XLM-R
(exponent 1/temperature); the default cap of four epochs is from Muennighoff et al. 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.schema.mix import MixConfig
from tasks.failures import BadConfig, BadData

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
EXACT = 1e-9  # relative: smaller differences are those of floating point


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage. asked: [S] shares that were asked for. tokens: [S] of each source."""

    name: str
    order: str
    asked: Floats
    tokens: Floats


@dataclass(frozen=True, slots=True)
class MixPlan:
    """stages: in order. epochs: [S] how often each source is seen in all. warnings: shares that a cap makes impossible.

    limit: what keeps the mix smaller than the sources, or empty.
    """

    stages: tuple[StagePlan, ...]
    epochs: Floats
    warnings: tuple[str, ...]
    limit: str


def token_shares(available: Int64, temperature: float) -> Floats:
    """[S] shares in proportion to tokens^(1/temperature); a source without tokens has none."""
    size = available / max(1, int(available.max(initial=1)))
    raised: Floats = np.where(available > 0, size ** (1 / temperature), 0.0)
    return raised / raised.sum()


def plan_mix(config: MixConfig, names: list[str], available: Int64) -> MixPlan:
    """Tokens of each source in each stage. available: [S] tokens that each source has.

    Without a budget the mix is as large as all sources, or smaller, so that every share holds within the cap. With
    one, a source that its cap keeps from its share gives what is missing to the others of the stage, by their
    weights, and a warning says so. Raises BadConfig for weights that do not fit the sources, and with
    when_short="stop" for a warning; BadData for a source with a weight and without tokens.
    """
    if not int(available.sum()):
        raise BadData("no source has tokens: there is nothing to mix")
    stages = [(one.name, one.share, one.weights or config.weights, one.order) for one in config.stages]
    stages = stages or [("all", 1.0, config.weights, "shuffle")]
    asked: Floats = np.stack([_asked(config, weights, names, available) for _, _, weights, _ in stages])
    parts: Floats = np.array([share for _, share, _, _ in stages], dtype=np.float64)[:, None] * asked
    most: Floats = config.max_epochs * available.astype(np.float64)
    wanted = parts.sum(axis=0)
    room = np.divide(most, wanted, out=np.full(len(names), np.inf), where=wanted > 0)
    total, limit = float(config.tokens or available.sum()), ""
    if config.tokens is None and room.min() < total * (1 - EXACT):
        least = int(room.argmin())
        total = float(room[least])
        limit = (
            f"the mix has {total:,.0f} of {int(available.sum()):,} tokens: source {names[least]!r} has "
            f"{int(available[least]):,} and is seen mix.max_epochs={config.max_epochs:g} times for its share of "
            f"{wanted[least]:.4f}; lower its weight, raise mix.max_epochs, or set mix.tokens to let others fill in"
        )
    planned: Floats = parts * total
    tokens = _within(planned.copy(), parts, most)
    warnings = _warnings(config, names, available, planned, tokens)
    if warnings and config.when_short == "stop":
        raise BadConfig("; ".join(warnings))
    seen: Floats = np.divide(tokens.sum(axis=0), available, out=np.zeros(len(names)), where=available > 0)
    plans = [StagePlan(name, order, asked[stage], tokens[stage]) for stage, (name, _, _, order) in enumerate(stages)]
    return MixPlan(tuple(plans), seen, warnings, limit)


def _asked(config: MixConfig, weights: Mapping[str, float], names: list[str], available: Int64) -> Floats:
    """[S] shares of one stage."""
    if not weights:
        return token_shares(available, config.temperature)
    known = ", ".join(names)
    for name in weights:
        if name not in names:
            raise BadConfig(f"mix.weights: no source is called {name!r}; the sources: {known}")
    for name, has in zip(names, available.tolist(), strict=True):
        if name not in weights:
            raise BadConfig(f"mix.weights: source {name!r} has no weight; 0 leaves it out")
        if weights[name] and not has:
            raise BadData(f"mix.weights: source {name!r} has no tokens left; fix the source, or set its weight to 0")
    values = np.array([weights[name] for name in names], dtype=np.float64)
    return values / values.sum()


def _within(tokens: Floats, parts: Floats, most: Floats) -> Floats:
    """[K, S] tokens with no source above ``most``; others of a stage take what is missing there, by ``parts``."""
    sizes = tokens.sum(axis=1)
    capped = np.zeros(tokens.shape[1], dtype=bool)
    while (over := ~capped & (tokens.sum(axis=0) > most * (1 + EXACT))).any():
        capped |= over
        tokens[:, over] *= (most / np.maximum(tokens.sum(axis=0), 1e-300))[over]
        free = np.where(capped, 0.0, parts)
        weight = free.sum(axis=1)
        left = sizes - tokens[:, capped].sum(axis=1)
        rows = weight > 0
        tokens[rows] = np.where(capped, tokens[rows], free[rows] * (left[rows] / weight[rows])[:, None])
    return tokens


def _warnings(config: MixConfig, names: list[str], available: Int64, wanted: Floats, tokens: Floats) -> tuple[str, ...]:
    """One line for each source that does not reach its share, and one when the whole mix is too small."""
    lines = []
    total, reached = float(wanted.sum()), float(tokens.sum())
    for source, name in enumerate(names):
        asked, got = float(wanted[:, source].sum()), float(tokens[:, source].sum())
        if got < asked * (1 - 1e-6):
            lines.append(
                f"source {name!r}: share {asked / total:.4f} of {total:,.0f} tokens would be "
                f"{asked / available[source]:.2f} epochs of its {int(available[source]):,} tokens; with "
                f"mix.max_epochs={config.max_epochs:g} its share is {got / reached:.4f}: lower its weight or "
                f"mix.tokens, or raise mix.max_epochs"
            )
    if reached < total * (1 - 1e-6):
        lines.append(
            f"the mix has {reached:,.0f} of {total:,.0f} tokens: every source of a stage is at "
            f"mix.max_epochs={config.max_epochs:g}; lower mix.tokens or raise mix.max_epochs"
        )
    return tuple(lines)
