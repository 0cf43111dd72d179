"""The trl stage: an adapter on the fine-tuned model by DPO, KTO, GRPO or RLOO, with PPO's artifact and figures."""

from pathlib import Path
from statistics import pstdev
from typing import Any

import torch
from accelerate import PartialState
from datasets.utils.logging import disable_progress_bar
from transformers import PreTrainedTokenizerBase, Trainer

from configs.schema.trl import TrlConfig
from tasks.adapter import lora_config, save_adapter, start_name
from tasks.adapter_fit import Progress, trained_parameters
from tasks.chat import copy_tokenizer, load_tokenizer
from tasks.checkpoint import load_checkpoint
from tasks.curve import write_rows
from tasks.failures import BadConfig
from tasks.heldout import Measurement, sample_rows
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.prompt_sets import PromptSets, load_prompts
from tasks.reward_model import RewardModel
from tasks.rewards import Rewards, build_rewards
from tasks.trl_methods.examples import Preferences, load_preferences
from tasks.trl_methods.measure import Measurer
from tasks.trl_methods.online import online_figures, online_trainer
from tasks.trl_methods.preference import dpo_trainer, kto_trainer, preference_figures
from tasks.trl_methods.training import adapter_of, common_arguments, fit


def train_trl(config: TrlConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Train a LoRA adapter on base + fine-tuned adapter by ``config.method``.

    inputs.folders: ``base``, ``finetuned``, ``rankings``, ``reward``. Writes what the ppo stage writes, without a
    critic: a PEFT folder over the merged fine-tuned model, tokenizer files, training/curve.jsonl, samples.jsonl; its
    metrics have the same names. Resumes from checkpoints in ``live.work``. Raises BadConfig, BadData without pairs or
    prompts, Diverged when a loss or a gradient is not finite, LostWorker when it was asked to stop.
    """
    state = PartialState()
    if config.lora.targets != "all-linear" and "lm_head" in config.lora.targets:
        raise BadConfig("trl.lora.targets names lm_head: the trainers take its weight as it is; leave it out")
    disable_progress_bar()
    folders = inputs.folders
    tokenizer = load_tokenizer(folders["finetuned"])
    preferences = load_preferences(config, folders["rankings"], tokenizer)
    model = load_chat_model(folders["base"], folders["finetuned"])
    positions = getattr(model.config, "max_position_embeddings", None)
    prompts = load_prompts(config, inputs, tokenizer, positions, stage="trl")
    live.say(_found(config, preferences, prompts))
    asked = any(part.model is not None for part in config.rewards)
    score = None
    if asked:
        score = RewardModel(folders["reward"], state.device, folders["base"], folders["finetuned"])
    rewards = build_rewards(config.rewards, score, "trl.rewards")
    measurer = Measurer(config, inputs, tokenizer, prompts.heldout, preferences.heldout, rewards, state.device)

    checkpoint = load_checkpoint(live.work / "checkpoints")
    progress = Progress.of(checkpoint, config.steps, lambda: measurer.start().plain())
    start = Measurement(**progress.start)
    # A finished run that died while it measured makes its trainer again only for the adapter in it
    done = min(progress.step, config.steps - 1)
    trainer = _trainer(config, model, tokenizer, preferences, prompts, rewards, start, done, live.work)
    fit(trainer, config, checkpoint, progress, live, online_figures if config.online else preference_figures)

    metrics: dict[str, Any] = {}
    if state.is_main_process:
        save_adapter(adapter_of(trainer), out, start_name(inputs))
        copy_tokenizer(folders["finetuned"], out)
        progress.curve.write(out)
        end, measured = measurer.end(start, out)
        write_rows(out / "samples.jsonl", sample_rows(prompts.heldout, config.heldout_samples, start, end))
        trained = sum(param.numel() for param in trained_parameters(adapter_of(trainer)).values())
        metrics = {"method": config.method, **measured, "steps": config.steps, "batch": config.batch}
        metrics |= {"trainable_parameters": trained, "heldout_prompts": len(prompts.heldout)}
        metrics |= _learned_from(config, preferences, prompts)
    state.wait_for_everyone()
    return metrics


def _trainer(
    config: TrlConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    preferences: Preferences,
    prompts: PromptSets,
    rewards: Rewards,
    start: Measurement,
    done: int,
    work: Path,
) -> Trainer:
    """The method's trainer. TRL puts the adapter on while it is built: its first weights come from the seed."""
    common, lora = common_arguments(config, work, done), lora_config(model, config.lora)
    torch.manual_seed(config.seed or 0)
    if config.method == "dpo":
        return dpo_trainer(config, model, tokenizer, lora, preferences.pairs, done, common)
    if config.method == "kto":
        return kto_trainer(config, model, tokenizer, lora, preferences.marked, done, common)
    deviation = pstdev(start.score) if config.normalise_reward else 1.0
    scale = deviation if deviation > 1e-6 else 1.0
    return online_trainer(config, model, tokenizer, lora, prompts.train, rewards, scale, done, common)


def _found(config: TrlConfig, preferences: Preferences, prompts: PromptSets) -> str:
    counts = _learned_from(config, preferences, prompts).items()
    return f"{config.method} learns from " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts)


def _learned_from(config: TrlConfig, preferences: Preferences, prompts: PromptSets) -> dict[str, int]:
    if config.method == "dpo":
        return {"pairs": len(preferences.pairs), "too_long": preferences.too_long}
    if config.method == "kto":
        wanted = sum(row.desirable for row in preferences.marked)
        return {
            "desirable": wanted,
            "undesirable": len(preferences.marked) - wanted,
            "too_long": preferences.too_long,
        }
    return {"prompts": len(prompts.train), "prompts_left_out": prompts.left_out}
