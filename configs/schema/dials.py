"""The settings that a person most often turns, for the form in the Prefect UI."""

import json
from typing import Any, ClassVar

from pydantic import ConfigDict

from configs.schema.strict import Strict, setting
from configs.schema.trl import Method

# name of the dial → setting of the recipe that it turns
TURNS = {
    "seed": "seed",
    "data_root": "data_root",
    "pretrain_steps": "pretrain.steps",
    "finetune_steps": "finetune.steps",
    "reward_epochs": "reward.epochs",
    "alignment_method": "align.method",
    "ppo_iterations": "ppo.iterations",
    "kl_coefficient": "ppo.kl.beta",
}


def _draw(schema: dict[str, Any]) -> None:
    """Make the form show plain inputs with limits and units: what may be null is drawn as a choice of types."""
    for name, field in schema["properties"].items():
        some, _ = field.pop("anyOf")
        field.pop("default")
        field.pop("keyed")
        least = f"≥ {some['minimum']}" if "minimum" in some else ""
        hints = ", ".join(hint for hint in (field.pop("unit"), least) if hint)
        field.update(some, title=name, description=f"{field['description']} [{hints}]")


class Dials(Strict):
    """A few settings by name; what is left empty stays as the recipe says. Everything else: overrides."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra=_draw)

    seed: int | None = setting(None, "Seed of every stage.", ge=0)
    data_root: str | None = setting(None, "Folder that ${data_root} stands for in the recipe.", unit="path")
    pretrain_steps: int | None = setting(None, "Optimiser steps of pretraining.", unit="steps", ge=0)
    finetune_steps: int | None = setting(None, "Optimiser steps of instruction fine-tuning.", unit="steps", ge=1)
    reward_epochs: int | None = setting(None, "Passes of the reward model over the rankings.", unit="epochs", ge=1)
    alignment_method: Method | None = setting(None, "How the fine-tuned model is aligned.")
    ppo_iterations: int | None = setting(None, "Rollout and update rounds of PPO.", unit="iterations", ge=1)
    kl_coefficient: float | None = setting(
        None, "Penalty on the distance from the fine-tuned model in PPO.", unit="reward/nat", ge=0
    )

    def changes(self) -> list[str]:
        """The turned dials as settings of the recipe, ``["ppo.iterations=40", …]``."""
        turned = self.model_dump(exclude_none=True)
        return [f"{path}={json.dumps(turned[name])}" for name, path in TURNS.items() if name in turned]
