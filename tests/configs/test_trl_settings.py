"""Settings of the methods beside PPO: what they share with it, and what contradicts itself."""

from typing import Any

import pytest

from configs.recipe import RecipeError, load_recipe
from configs.schema import keyed_fields
from configs.schema.ppo import PPOConfig
from configs.schema.trl import LOSSES, SHARED, TrlConfig, share_settings


def _config(**values: Any) -> TrlConfig:
    return TrlConfig.model_validate({"prompts": {"path": "p"}, **values})


def test_what_is_shared_has_one_default() -> None:
    ppo, trl = PPOConfig.model_validate({"prompts": {"path": "p"}}), _config()
    assert {name: getattr(ppo, name) for name in SHARED} == {name: getattr(trl, name) for name in SHARED}


@pytest.mark.parametrize("method", ["dpo", "kto", "grpo", "rloo"])
def test_one_change_of_a_recipe_gives_the_same_questions(method: str) -> None:
    config = load_recipe("quickstart", [f"align.method={method}", "seed=3"])
    assert config.trl is not None
    assert (config.trl.method, config.trl.seed, config.aligner) == (method, 3, "trl")
    assert {name: getattr(config.ppo, name) for name in SHARED} == {name: getattr(config.trl, name) for name in SHARED}
    own = load_recipe("quickstart", [f"align.method={method}", "trl.temperature=0.5"]).trl
    assert own is not None
    assert own.temperature == 0.5


def test_nothing_of_ppo_s_key_has_changed() -> None:
    plain, other = load_recipe("nano"), load_recipe("nano", ["trl.steps=3"])
    assert plain.aligner == "ppo"
    assert plain.stages == other.stages
    for name in plain.stages:
        assert keyed_fields(getattr(plain, name)) == keyed_fields(getattr(other, name))


def test_a_recipe_without_ppo_names_its_prompts_once() -> None:
    filled = share_settings({"align": {"method": "rloo"}, "trl": {"prompts": {"path": "p"}, "steps": 5}})
    assert filled["ppo"] == {"prompts": {"path": "p"}}
    assert filled["trl"]["method"] == "rloo"
    assert share_settings({"ppo": {"prompts": {"path": "p"}}}) == {"ppo": {"prompts": {"path": "p"}}}


def test_a_preset_is_shared_too() -> None:
    ppo = {"prompts": {"path": "p"}, "preset": "n-details"}
    filled = share_settings({"align": {"method": "grpo"}, "ppo": ppo})
    assert filled["trl"]["temperature"] == PPOConfig.model_validate(ppo).temperature == 0.7


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"method": "grpo", "batch": 12}, "trl.batch=12 is not a multiple of trl.num_generations=8"),
        ({"method": "dpo", "loss_type": "dapo"}, "trl.loss_type=dapo with align.method=dpo: choose among sigmoid"),
        ({"lora": {"dropout": 0.1}}, "trl.lora.dropout=0.1: set it to 0"),
        ({"batch": 32, "micro_batch": 5}, "trl.batch=32 is not a multiple of trl.micro_batch=5"),
        ({"method": "kto", "micro_batch": 16}, "its KL is estimated over a forward pass"),
        ({"method": "kto", "batch": 1}, "its KL needs answers to other prompts"),
        ({"method": "kto", "label_smoothing": 0.1}, "trl.label_smoothing=0.1 does nothing with the loss kto"),
    ],
)
def test_contradictions_are_refused_with_the_setting_to_change(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        _config(**values)


def test_lengths_have_to_fit_the_base() -> None:
    with pytest.raises(RecipeError, match=r"trl\.max_length=999 exceeds pretrain\.context=256") as refused:
        load_recipe("quickstart", ["align.method=dpo", "trl.max_length=999", "trl.max_new_tokens=250"])
    assert "trl.max_prompt_tokens=96 + trl.max_new_tokens=250 exceed pretrain.context=256" in str(refused.value)


def test_every_loss_is_one_that_trl_names() -> None:
    """Read from the texts of TRL's settings, which is where it lists them."""
    from dataclasses import fields

    from trl import DPOConfig, GRPOConfig

    for method, config in (("dpo", DPOConfig), ("grpo", GRPOConfig)):
        text = next(field.metadata["help"] for field in fields(config) if field.name == "loss_type")
        for loss in LOSSES[method]:
            assert f"'{loss}'" in text, loss
