"""The guard: watches a run for over-optimisation (Gao et al. 2022), stops it, and keeps the best policy.

State after every iteration: ok, warn or stop, with the reason and the policy to roll back to. Everything that it
remembers is plain JSON and tensors, and is part of the checkpoint: a resumed run is guarded as an uninterrupted one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor

from configs.schema.guard import GuardConfig
from tasks.ppo.signals import Signal, heldout_signals, repeated_share, rollout_signals
from tasks.prompt_sets import Prompt

ROLLOUT = ("kl", "length", "repetition", "entropy", "ended")
Scorer = Callable[[list[Prompt], list[str]], Tensor]
State = dict[str, Any]


@dataclass(frozen=True)
class Sampled:
    """Answers of the policy of this moment to the held-out prompts: texts, ids, KL of each."""

    prompts: list[Prompt]
    texts: list[str]
    ids: list[list[int]]
    kl: list[float]
    score: list[float]


@dataclass(frozen=True)
class Yardstick:
    """How held-out answers are judged. gold: a reward that is never trained on; without it the trained one is read,
    which cannot see that it is being gamed. disagreement: deviation of a reward model's members, one an answer."""

    sample: Callable[[], Sampled]
    gold: Scorer | None = None
    disagreement: Scorer | None = None

    def __call__(self) -> dict[str, float]:
        """Means over the answers: score, gold and its deviation, kl, repetition, disagreement where there is one."""
        found = self.sample()
        gold = found.score if self.gold is None else self.gold(found.prompts, found.texts).tolist()
        values = {
            "score": fmean(found.score),
            "gold": fmean(gold),
            "gold_std": pstdev(gold),
            "heldout_kl": fmean(found.kl),
            "heldout_repetition": fmean(repeated_share(ids) for ids in found.ids),
        }
        if self.disagreement is not None:
            values["disagreement"] = fmean(self.disagreement(found.prompts, found.texts).tolist())
        return values


@dataclass
class Guard:
    """``policy``: the trained tensors by name, read where a policy is kept, written by ``take_best``."""

    config: GuardConfig
    policy: Callable[[], dict[str, Tensor]]
    yardstick: Yardstick | None = None
    start: dict[str, float] = field(default_factory=dict)  # figures of the first rollout
    heldout: dict[str, float] = field(default_factory=dict)  # measurement of the start policy
    rows: list[State] = field(default_factory=list)
    best: float = float("-inf")  # highest held-out reward so far, inside the budget or not
    selected: dict[str, Any] = field(default_factory=dict)  # iteration, gold and kl of the kept policy
    kept: dict[str, Tensor] = field(default_factory=dict)
    stopped: str = ""

    def begin(self) -> None:
        """Measure the start policy; nothing on a resumed run."""
        if self.yardstick is not None and not self.heldout:
            self.heldout = self.yardstick()
            self.best = self.heldout["gold"]
            self._keep(0, self.heldout)

    def after(self, row: dict[str, Any]) -> State:
        """Judge an iteration by its row of the curve; returns the row of guard.jsonl.

        The rollout's figures are of the policy before the iteration's update, the held-out ones after it.
        """
        step = int(row["step"])
        now = {name: float(row[name]) for name in ROLLOUT}
        self.start = self.start or now
        signals = rollout_signals(self.config, self.start, now)
        measured: dict[str, float] = {}
        if self.yardstick is not None and self.config.every is not None and step % self.config.every == 0:
            measured = self.yardstick()
            self.best = max(self.best, measured["gold"])
            signals += heldout_signals(self.config, self.heldout, self.best, measured)
        state = self._state(step, signals)
        if measured and state["state"] != "stop" and self._better(measured):
            self._keep(step, measured)
        state["roll_back_to"] = self._roll_back()
        self.rows.append({**state, **{name: round(value, 6) for name, value in measured.items()}})
        if state["state"] == "stop" and self.config.act == "stop":
            self.stopped = (
                f"the guard: {state['reason']}, after {step} iterations; roll back to iteration {state['roll_back_to']}"
            )
        return state

    def _state(self, step: int, signals: list[Signal]) -> State:
        worst = max(signals, key=lambda signal: signal.level, default=Signal("none", 0.0, ""))
        name = "stop" if worst.level >= 1 else "warn" if worst.level >= self.config.warn else "ok"
        levels = {signal.name: round(signal.level, 6) for signal in signals}
        reason = "; ".join(signal.text for signal in signals if signal.level >= min(1.0, self._bar(name)))
        return {"step": step, "state": name, "reason": reason if name != "ok" else "", "levels": levels}

    def _bar(self, name: str) -> float:
        return 1.0 if name == "stop" else self.config.warn

    def _better(self, measured: dict[str, float]) -> bool:
        inside = self.config.kl is None or measured["heldout_kl"] <= self.config.kl
        return inside and measured["gold"] > self.selected["gold"]

    def _keep(self, step: int, measured: dict[str, float]) -> None:
        self.selected = {"iteration": step, "gold": measured["gold"], "kl": measured["heldout_kl"]}
        self.kept = {name: tensor.detach().clone() for name, tensor in self.policy().items()}

    def _roll_back(self) -> int:
        """The kept policy where there are measurements, else the last iteration before the first that was not ok."""
        if self.selected:
            return int(self.selected["iteration"])
        odd = next((row["step"] for row in self.rows if row["state"] != "ok"), None)
        return len(self.rows) if odd is None else max(odd - 1, 0)

    @torch.no_grad()
    def take_best(self) -> None:
        """Put the kept policy in the place of the last one."""
        for name, tensor in self.policy().items():
            tensor.copy_(self.kept[name])

    def why(self) -> str:
        """Which policy is released, and for what reason."""
        if self.config.select == "last" or not self.selected:
            return "the last policy: ppo.guard.select=last"
        budget = "" if self.config.kl is None else f" of those inside the KL budget of {self.config.kl} nats an answer"
        kind = "held-out reward" if self.yardstick and self.yardstick.gold else "trained reward on held-out prompts"
        at = self.selected["iteration"]
        return f"iteration {at}: the best {kind}, {self.selected['gold']:.4f},{budget or ' of all'} that were measured"

    def metrics(self, iterations: int) -> dict[str, Any]:
        """What the stage reports."""
        states = [row["state"] for row in self.rows]
        worst = "stop" if "stop" in states else "warn" if "warn" in states else "ok"
        first = next((row for row in self.rows if row["state"] == worst), None)
        best = self.config.select == "best" and bool(self.selected)
        return {
            "guard": worst,
            "guard_reason": first["reason"] if first and worst != "ok" else "",
            "guard_step": first["step"] if first and worst != "ok" else 0,
            "guard_warnings": states.count("warn") + states.count("stop"),
            "selected_iteration": self.selected["iteration"] if best else iterations,
            "selected_why": self.why(),
        }

    def values(self) -> dict[str, Any]:
        """For the checkpoint, beside ``kept``."""
        best = None if self.best == float("-inf") else self.best
        names = ("start", "heldout", "rows", "selected", "stopped")
        return {"best": best, **{name: getattr(self, name) for name in names}}

    def restore(self, values: dict[str, Any], kept: dict[str, Tensor]) -> None:
        """Put back what ``values`` and ``kept`` gave."""
        for name, value in values.items():
            setattr(self, name, value)
        self.best = float("-inf") if values["best"] is None else values["best"]
        self.kept = kept
