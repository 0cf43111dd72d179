"""PPO settings: presets, and what contradicts itself."""

from typing import Any

import pytest

from configs.recipe import load_recipe
from configs.schema.ppo import PPOConfig


def _config(**values: Any) -> PPOConfig:
    return PPOConfig.model_validate({"prompts": {"path": "p"}, **values})


def test_presets_hold_the_published_numbers() -> None:
    found = {name: _config(preset=name) for name in ("instructgpt", "n-details", "deepspeed-chat")}
    gpt, details, deepspeed = found.values()
    assert (gpt.learning_rate, gpt.value_learning_rate, gpt.batch, gpt.minibatch, gpt.epochs) == (
        8e-6,
        9e-6,
        512,
        64,
        1,
    )
    assert (gpt.kl.beta, gpt.gamma, gpt.temperature, gpt.ema.decay, gpt.ptx.coefficient) == (0.02, 1, 1, 0.992, 27.8)
    assert (details.learning_rate, details.value_learning_rate, details.adam.eps) == (3e-6, 3e-6, 1e-5)
    assert (details.batch, details.epochs, details.kl.beta, details.value_coefficient) == (512, 4, 0.05, 0.1)
    assert (details.gamma, details.lam, details.temperature) == (1, 0.95, 0.7)
    assert (deepspeed.learning_rate, deepspeed.value_learning_rate, deepspeed.epochs) == (9.65e-6, 5e-6, 1)
    assert (deepspeed.kl.beta, deepspeed.gamma, deepspeed.lam, deepspeed.reward_clip) == (0.1, 1, 0.95, 5)
    assert all((config.clip, config.value_clip) == (0.2, 0.2) for config in found.values())
    assert all(config.method == "full" for config in found.values())


def test_what_is_written_wins_over_the_preset_block_by_block() -> None:
    config = _config(preset="instructgpt", learning_rate=1e-4, kl={"target": 6.0}, method="lora")
    assert (config.learning_rate, config.kl.beta, config.kl.target, config.method) == (1e-4, 0.02, 6.0, "lora")
    again = PPOConfig.model_validate(config.model_dump(mode="json"))
    assert again == config


def test_a_preset_in_a_recipe() -> None:
    assert load_recipe("quickstart", ["ppo.preset=n-details"]).ppo.kl.beta == 0.05
    assert load_recipe("quickstart").ppo.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"critic": {"start": "reward"}}, r"ppo\.critic\.kind=adapter"),
        ({"critic": {"warmup": 30}}, r"ppo\.critic\.warmup=30 leaves no iteration"),
        ({"critic": {"kind": "adapter", "lora": {"dropout": 0.1}}}, r"ppo\.critic\.lora\.dropout=0\.1"),
        ({"ema": {"release": "ema"}}, r"ppo\.ema\.release=ema without ppo\.ema\.decay"),
        ({"ptx": {"coefficient": 1, "source": "instructions"}}, r"ppo\.ptx\.source=instructions with 0"),
        ({"rewards": [{"weight": 2}]}, "a term has exactly one of them"),
        ({"rewards": [{"model": "reward"}] * 2}, "names the reward model twice"),
        ({"rewards": [{"function": "os.system"}]}, "pattern"),
    ],
)
def test_contradictions_are_refused_with_the_setting_to_change(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _config(**values)
