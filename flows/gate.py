"""The gate before PPO: a reward model that knows no more than the length of an answer teaches nothing else."""

from collections.abc import Mapping
from typing import Any

from configs.schema.reward import GateConfig
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import Refused
from tasks.run import Run


def pass_gate(run: Run, gate: GateConfig, reward: Any) -> Any:
    """The reward model as it was given: a reference, or the state of the task that made it.

    Raises Refused when it may not go on to PPO: it stays in the store, and with another setting the run goes on
    without training it again. Without ``gate.refuse`` the log says what it did not reach.
    """
    ref: ArtifactRef = reward if isinstance(reward, ArtifactRef) else reward.result()
    problem = shortfall(gate, run.store.manifest(ref).metrics)
    if problem and gate.refuse:
        run.started("ppo")
        run.finished("ppo", "Failed", 0.0, error=f"Refused: {problem}")
        raise Refused(problem)
    if problem:
        run.event("ppo", {"event": "say", "text": f"goes on, since reward.gate.refuse=false: {problem}"})
    return reward


def shortfall(gate: GateConfig, metrics: Mapping[str, Any]) -> str:
    """Why the reward model does not pass, with both values and what to change; empty when it does."""
    accuracy, length = metrics.get("pair_accuracy"), metrics.get("length_baseline")
    if accuracy is not None and length is not None and accuracy >= length + gate.margin:
        return ""
    pairs, prompts = metrics.get("heldout_pairs"), metrics.get("heldout_prompts")
    return (
        f"the reward model orders {_share(metrics, 'pair_accuracy')} of {pairs} held-out pairs of {prompts} prompts "
        f"rightly, length alone {_share(metrics, 'length_baseline')}; reward.gate.margin={gate.margin} asks for "
        f"{gate.margin:.1%} more than that: give more or better rankings or a longer training; or lower "
        "reward.gate.margin, or set reward.gate.refuse=false, and the run goes on with this model as it is"
    )


def _share(metrics: Mapping[str, Any], name: str) -> str:
    """With its 95 % interval over prompts where there is one."""
    value, low, high = (metrics.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "an unknown share"
    return f"{value:.1%}" if low is None or high is None else f"{value:.1%} (95 %: {low:.1%} to {high:.1%})"
