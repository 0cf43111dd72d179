"""Published PPO settings by name. All three trained whole models; the rates are those of whole models."""

from typing import Any

INSTRUCTGPT: dict[str, Any] = {  # Ouyang et al. 2022, appendix C.4; rates above 8e-6 diverged without the mix
    "method": "full",
    "learning_rate": 8e-6,
    "value_learning_rate": 9e-6,
    "batch": 512,
    "minibatch": 64,
    "epochs": 1,
    "kl": {"beta": 0.02},
    "clip": 0.2,
    "value_clip": 0.2,
    "gamma": 1.0,
    "temperature": 1.0,
    "ema": {"decay": 0.992, "release": "ema"},
    "ptx": {"coefficient": 27.8},
}

N_DETAILS: dict[str, Any] = {  # Huang et al. 2024, "The N+ implementation details of RLHF with PPO", TL;DR
    "method": "full",
    "learning_rate": 3e-6,
    "value_learning_rate": 3e-6,
    "adam": {"eps": 1e-5},
    "rate": {"schedule": "linear"},
    "value_rate": {"schedule": "linear"},
    "batch": 512,
    "minibatch": 512,
    "epochs": 4,
    "kl": {"beta": 0.05},
    "clip": 0.2,
    "value_clip": 0.2,
    "value_coefficient": 0.1,
    "gamma": 1.0,
    "lam": 0.95,
    "temperature": 0.7,
    "missing_eos_penalty": 1.0,
}

DEEPSPEED_CHAT: dict[str, Any] = {  # Yao et al. 2023, step 3; it clips the raw score
    "method": "full",
    "learning_rate": 9.65e-6,
    "value_learning_rate": 5e-6,
    "epochs": 1,
    "kl": {"beta": 0.1},
    "clip": 0.2,
    "value_clip": 0.2,
    "gamma": 1.0,
    "lam": 0.95,
    "normalise_reward": False,
    "reward_clip": 5.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    "instructgpt": INSTRUCTGPT,
    "n-details": N_DETAILS,
    "deepspeed-chat": DEEPSPEED_CHAT,
}


def fill(values: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """``values`` with what they leave open taken from the preset, block by block."""
    filled = dict(values)
    for name, given in preset.items():
        if name not in filled:
            filled[name] = given
        elif isinstance(given, dict) and isinstance(filled[name], dict):
            filled[name] = fill(filled[name], given)
    return filled
