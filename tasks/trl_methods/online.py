"""GRPO (Shao et al. 2024) and RLOO (Ahmadian et al. 2024): TRL's trainers with our sampler, template and rewards."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from configs.schema.trl import TrlConfig
from tasks.adapter import ADAPTER
from tasks.chat import decode_answer, end_ids
from tasks.order import DataOrder
from tasks.prompt_sets import Prompt
from tasks.randomness import generator
from tasks.rewards import Rewards
from tasks.sampling import generate
from tasks.trl_methods.training import adapter_of

RAW = "raw_reward"  # the name under which TRL averages the rewards as the model gave them


@dataclass
class Answering:
    """How answers are sampled and paid. ``plain``: a copy of the start model that the adapter is written into.

    ``scale``: what rewards are divided by. ``first``: rollouts that were made before this attempt.
    """

    config: TrlConfig
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Prompt]
    rewards: Rewards
    plain: PreTrainedModel
    scale: float
    first: int

    def answers(self, adapted: nn.Module, prompts: list[list[int]], rollout: int, process: int) -> list[list[int]]:
        """One answer a prompt. The random numbers depend on the rollout and the process alone."""
        config = self.config
        assert config.seed is not None
        device = next(adapted.parameters()).device
        self.plain.to(device)  # type: ignore[arg-type]  # transformers decorates `to` without types
        self._merge(adapted)
        return generate(
            self.plain,
            prompts,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            end_ids=end_ids(self.tokenizer),
            pad_id=int(self.tokenizer.pad_token_id),
            generator=generator(config.seed, "rollout", self.first + rollout, process, device=device),
        )

    @torch.no_grad()
    def _merge(self, adapted: nn.Module) -> None:
        """The sum starts from the frozen weight each time, so rounding errors do not pile up."""
        for name, layer in adapted.get_base_model().named_modules():  # type: ignore[operator]
            if isinstance(layer, Linear):
                weight = cast(nn.Linear, layer.get_base_layer()).weight
                cast(nn.Linear, self.plain.get_submodule(name)).weight.copy_(weight + layer.get_delta_weight(ADAPTER))

    def reward(self) -> Callable[..., list[float]]:
        """The reward function for TRL: scaled, minus the penalty of answers that do not end."""
        ends = set(end_ids(self.tokenizer))

        def reward(
            prompts: list[str],
            completions: list[Any],
            completion_ids: list[list[int]],
            log_metric: Callable[[str, float], None],
            **columns: Any,
        ) -> list[float]:
            rows = [self.prompts[int(place)] for place in prompts]
            texts = [decode_answer(self.tokenizer, ids) for ids in completion_ids]
            found = self.rewards(rows, texts)
            log_metric(RAW, float(found.total_B.mean()))
            for name, score_B in found.terms.items():
                said_B = score_B[~score_B.isnan()]
                if len(found.terms) > 1 and len(said_B):
                    log_metric(f"{RAW}_{name}", float(said_B.mean()))
            ended_B = torch.tensor([bool(ids) and ids[-1] in ends for ids in completion_ids])
            return (found.total_B / self.scale - self.config.missing_eos_penalty * ~ended_B).tolist()

        return reward


class OurGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that answers with our sampler and does not call home."""

    answering: Answering

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return _encoded(self.answering, prompts)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *about: Any, **more: Any) -> tuple[Any, None]:
        return _sampled(self, self.answering, prompt_ids), None

    def _send_telemetry(self) -> None:
        return


class OurRLOOTrainer(RLOOTrainer):
    """RLOOTrainer that answers with our sampler and does not call home."""

    answering: Answering

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return _encoded(self.answering, prompts)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *about: Any, **more: Any) -> list[list[int]]:
        return _sampled(self, self.answering, prompt_ids)

    def _send_telemetry(self) -> None:
        return


OnlineTrainer = OurGRPOTrainer | OurRLOOTrainer


def _encoded(answering: Answering, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
    """A prompt comes as its number: TRL's own encoding would let a user's text pass for a marker."""
    return [list(answering.prompts[int(place)].ids) for place in prompts], None, {}


def _sampled(trainer: OnlineTrainer, answering: Answering, prompt_ids: list[list[int]]) -> list[list[int]]:
    assert isinstance(trainer.args, GRPOConfig | RLOOConfig)
    assert trainer.args.steps_per_generation is not None  # its own checks fill it in
    passes = trainer.args.steps_per_generation * trainer.num_iterations
    rollout = trainer._step // passes
    return answering.answers(adapter_of(trainer), prompt_ids, rollout, trainer.accelerator.process_index)


def online_trainer(
    config: TrlConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lora: LoraConfig,
    prompts: list[Prompt],
    rewards: Rewards,
    scale: float,
    done: int,
    common: dict[str, Any],
) -> OnlineTrainer:
    """A trainer for the steps after ``done``, which is a multiple of config.reuse."""
    answering = Answering(config, tokenizer, prompts, rewards, copy.deepcopy(model).eval(), scale, done // config.reuse)
    model.generation_config.eos_token_id = end_ids(tokenizer)  # what TRL counts as ended
    given: dict[str, Any] = {
        "model": model,
        "reward_funcs": [answering.reward()],
        "train_dataset": Dataset.from_dict({"prompt": [str(place) for place in asked(len(prompts), config, done)]}),
        "processing_class": tokenizer,
        "peft_config": lora,
    }
    settings: dict[str, Any] = {
        **common,
        "num_generations": config.num_generations,
        "num_iterations": config.reuse,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "beta": config.weight,
        "epsilon": config.clip,
        "shuffle_dataset": False,
    }
    trainer: OnlineTrainer
    if config.method == "grpo":
        form: dict[str, Any] = {"loss_type": config.loss, "scale_rewards": config.scale_rewards}
        trainer = OurGRPOTrainer(args=GRPOConfig(**settings, **form), **given)
    else:
        trainer = OurRLOOTrainer(args=RLOOConfig(**settings, normalize_advantages=config.normalise_advantages), **given)
    trainer.answering = answering
    return trainer


def asked(prompts: int, config: TrlConfig, done: int) -> list[int]:
    """Prompts of the rollouts after step ``done``, one after another; each is answered num_generations times."""
    order = DataOrder(prompts, config.batch // config.num_generations, config.seed or 0)
    rollouts = range(done // config.reuse, -(-config.steps // config.reuse))
    return [place for rollout in rollouts for place in order.step(rollout)]


def online_figures(logs: dict[str, Any]) -> dict[str, float]:
    """TRL's figures of a step under PPO's names. kl: nats an answer, TRL's mean a token times the mean length."""
    names = {
        RAW: "reward",
        "reward_std": "reward_std",
        "kl": "kl",
        "entropy": "entropy",
        "completions/mean_length": "length",
        "completions/clipped_ratio": "ended",
        "clip_ratio/region_mean": "clip_fraction",
        "frac_reward_zero_std": "equal_rewards",
    }
    found = {ours: float(logs[theirs]) for theirs, ours in names.items() if logs.get(theirs) is not None}
    terms = {name for name in logs if name.startswith(f"{RAW}_") and logs[name] is not None}
    found |= {f"reward_{name.removeprefix(RAW)[1:]}": float(logs[name]) for name in sorted(terms)}
    if "ended" in found:
        found["ended"] = 1.0 - found["ended"]
    if "kl" in found and "length" in found:
        found["kl"] *= found["length"]
    else:  # a step on answers that were sampled before it
        found.pop("kl", None)
    return found
