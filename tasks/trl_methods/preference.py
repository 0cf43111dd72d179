"""DPO (Rafailov et al. 2023) and KTO (Ethayarajh et al. 2024): TRL's trainers on rows that are already encoded."""

from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from configs.schema.trl import TrlConfig
from tasks.order import DataOrder
from tasks.trl_methods.examples import Marked, Pair


class EncodedDPOTrainer(DPOTrainer):
    """DPOTrainer whose rows stay as they are, and without the ping to its makers at every start."""

    def _prepare_dataset(self, dataset: Dataset, *about: Any, **more: Any) -> Dataset:
        """Nothing is tokenised here: TRL's template would let a user's text pass for a marker, and would teach the
        newline after the end token, which no answer ever says."""
        return dataset

    def _send_telemetry(self) -> None:
        return


class EncodedKTOTrainer(KTOTrainer):
    """KTOTrainer whose rows stay as they are, and without the ping to its makers at every start."""

    def _prepare_dataset(self, dataset: Dataset, *about: Any, **more: Any) -> Dataset:
        """See EncodedDPOTrainer."""
        return dataset

    def _send_telemetry(self) -> None:
        return


def dpo_trainer(
    config: TrlConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lora: LoraConfig,
    pairs: list[Pair],
    done: int,
    common: dict[str, Any],
) -> DPOTrainer:
    """A trainer for the steps after ``done``. TRL puts the adapter on: the reference is then the model without it."""
    places = remaining(len(pairs), config, done)
    rows = Dataset.from_dict(
        {
            "prompt_ids": [pairs[place].prompt for place in places],
            "chosen_ids": [pairs[place].chosen for place in places],
            "rejected_ids": [pairs[place].rejected for place in places],
        }
    )
    settings = DPOConfig(
        **common,
        beta=config.weight,
        loss_type=[config.loss],
        label_smoothing=config.label_smoothing,
        max_length=None,
        train_sampling_strategy="sequential",
    )
    return EncodedDPOTrainer(
        model=model, args=settings, train_dataset=rows, processing_class=tokenizer, peft_config=lora
    )


def kto_trainer(
    config: TrlConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lora: LoraConfig,
    marked: list[Marked],
    done: int,
    common: dict[str, Any],
) -> KTOTrainer:
    """A trainer for the steps after ``done``. Within a step each prompt also gets the answer of the row before, as
    KTO's estimate of the KL asks for."""
    places = remaining(len(marked), config, done)
    steps = [places[first : first + config.batch] for first in range(0, len(places), config.batch)]
    shifted = [place for step in steps for place in (step[-1], *step[:-1])]
    rows = Dataset.from_dict(
        {
            "prompt_ids": [marked[place].prompt for place in places],
            "completion_ids": [marked[place].answer for place in places],
            "KL_completion_ids": [marked[place].answer for place in shifted],
            "label": [marked[place].desirable for place in places],
        }
    )
    settings = KTOConfig(
        **common,
        beta=config.weight,
        loss_type=config.loss,
        desirable_weight=config.desirable_weight,
        undesirable_weight=config.undesirable_weight,
        max_length=None,
        train_sampling_strategy="sequential",
    )
    return EncodedKTOTrainer(
        model=model, args=settings, train_dataset=rows, processing_class=tokenizer, peft_config=lora
    )


def remaining(rows: int, config: TrlConfig, done: int) -> list[int]:
    """Rows of the steps after ``done``, one after another as they are learned."""
    order = DataOrder(rows, config.batch, config.seed or 0)
    return [place for step in range(done, config.steps) for place in order.step(step)]


def preference_figures(logs: dict[str, Any]) -> dict[str, float]:
    """TRL's figures of a step under our names. margin: implicit reward of the preferred answers minus the others'."""
    names = {
        "rewards/margins": "margin",
        "rewards/accuracies": "accuracy",
        "rewards/chosen": "chosen_reward",
        "rewards/rejected": "rejected_reward",
        "logps/chosen": "chosen_logp",
        "logps/rejected": "rejected_logp",
        "kl": "kl",
        "entropy": "entropy",
    }
    return {ours: float(logs[theirs]) for theirs, ours in names.items() if logs.get(theirs) is not None}
