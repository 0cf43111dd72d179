"""TRL's names of PPO settings, translated; our own schema stays the source."""

import math
from collections.abc import Mapping
from typing import Any

DIRECT = {
    "num_ppo_epochs": "epochs",
    "cliprange": "clip",
    "cliprange_value": "value_clip",
    "vf_coef": "value_coefficient",
    "gamma": "gamma",
    "lam": "lam",
    "kl_coef": "kl.beta",
    "kl_estimator": "kl_estimator",
    "temperature": "temperature",
    "response_length": "max_new_tokens",
    "max_grad_norm": "clip_gradient",
    "adam_beta1": "adam.beta1",
    "adam_beta2": "adam.beta2",
    "adam_epsilon": "adam.eps",
    "weight_decay": "adam.weight_decay",
    "seed": "seed",
    "per_device_train_batch_size": "micro_batch",
}
SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
}
WHOLE = ("learning_rate", "lr_scheduler_type", "warmup_steps", "total_episodes", "missing_eos_penalty")
SIZES = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_mini_batches", "world_size")
# Where answers go and what is printed is said elsewhere; whitened advantages are our default and TRL's only way
IGNORED = ("output_dir", "exp_name", "stop_token", "logging_steps", "report_to")


def from_trl(names: Mapping[str, Any]) -> dict[str, Any]:
    """Values of our schema for settings of ``trl.experimental.ppo.PPOConfig``; what is not given stays open.

    Batch sizes are TRL's: a minibatch is per_device_train_batch_size × gradient_accumulation_steps × world_size, a
    batch num_mini_batches of them, and total_episodes gives the iterations. Raises ValueError for a name or value that
    has no equal here.
    """
    known = {*DIRECT, *WHOLE, *SIZES, *IGNORED, "whiten_rewards"}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(f"no equal of TRL's {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if names.get("whiten_rewards"):
        raise ValueError("whiten_rewards=True has no equal: rewards are normalised by normalise_reward")
    values: dict[str, Any] = {}
    for theirs, ours in DIRECT.items():
        if theirs in names:
            _put(values, ours, names[theirs])
    if "learning_rate" in names:
        values |= {"learning_rate": names["learning_rate"], "value_learning_rate": names["learning_rate"]}
    if "missing_eos_penalty" in names:
        values["missing_eos_penalty"] = names["missing_eos_penalty"] or 0.0
    for rate in ("rate", "value_rate"):
        if "lr_scheduler_type" in names:
            kind = str(getattr(names["lr_scheduler_type"], "value", names["lr_scheduler_type"]))
            if kind not in SCHEDULES:
                raise ValueError(f"lr_scheduler_type={kind!r} is none of {', '.join(SCHEDULES)}")
            _put(values, f"{rate}.schedule", SCHEDULES[kind])
        if "warmup_steps" in names:
            _put(values, f"{rate}.warmup_steps", names["warmup_steps"])
    if set(SIZES) & set(names):
        size, grown, parts, world = (names.get(name, 1) for name in SIZES)
        values["minibatch"] = size * grown * world
        values["batch"] = values["minibatch"] * parts
        if "total_episodes" in names:
            values["iterations"] = math.ceil(names["total_episodes"] / values["batch"])
    elif "total_episodes" in names:
        raise ValueError("total_episodes without batch sizes: give per_device_train_batch_size too")
    return values


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[leaf] = value
