"""PPO of the fine-tuned model against the reward model (Ziegler et al. 2019; Ouyang et al. 2022)."""

from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import save_file

from configs.schema.ppo import PPOConfig
from tasks.adapter import start_name
from tasks.chat import copy_tokenizer, load_tokenizer
from tasks.curve import write_rows
from tasks.engines.choose import make_engine
from tasks.heldout import Measurement, metrics_of, sample_rows
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_base, load_chat_model
from tasks.ppo.heldout import answer_perplexity, measure
from tasks.ppo.iteration import Roles
from tasks.ppo.learner import Learner, make_critic, make_policy
from tasks.ppo.processes import Processes
from tasks.ppo.ptx import load_texts
from tasks.ppo.supported import check_supported
from tasks.ppo.table import Table
from tasks.ppo.trainer import Training
from tasks.ppo.watch import make_guard, save_best
from tasks.prompt_sets import Prompt, load_prompts
from tasks.reward_model import RewardModel
from tasks.rewards import build_rewards


def train_ppo(config: PPOConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Train a LoRA adapter on base + fine-tuned adapter, by PPO.

    inputs.folders: ``base`` (causal model), ``finetuned`` (its LoRA adapter and tokenizer), ``reward`` (what
    ``tasks.scoring.load_reward`` opens, and its tokenizer). Writes a PEFT folder over the merged fine-tuned model,
    tokenizer files, critic.safetensors, training/curve.jsonl, samples.jsonl, guard.jsonl, best/ (the policy that
    the guard kept) and rollouts/ (sampled answers as Parquet).

    Resumes from checkpoints in ``live.work``; killed and resumed gives the bytes of an uninterrupted run. A KL
    over ``config.kl.limit`` ends training early, which the metric ``stopped`` says. Raises BadConfig, BadData
    for prompts, Diverged when a gradient or a reward is not finite, and LostWorker when it was asked to stop.
    """
    processes = Processes(Accelerator())
    check_supported(processes.accelerator)
    tokenizer = load_tokenizer(inputs.folders["finetuned"])
    model = load_chat_model(inputs.folders["base"], inputs.folders["finetuned"])
    prompts = load_prompts(config, inputs, tokenizer, getattr(model.config, "max_position_embeddings", None))
    if prompts.left_out:
        live.say(f"{prompts.left_out} prompts are longer than {config.max_prompt_tokens} tokens and were left out")
    positions = getattr(model.config, "max_position_embeddings", None)
    texts = load_texts(config, inputs, tokenizer, positions)
    policy = make_policy(config, model, processes.device)
    scorer = None
    if any(part.model is not None for part in config.rewards) or config.critic.start == "reward":
        folders = inputs.folders
        scorer = RewardModel(folders["reward"], processes.device, folders["base"], folders["finetuned"], policy.trunk)
        live.say(scorer.about)
    rewards = build_rewards(config.rewards, scorer)
    engine = make_engine(config.rollout, config.lora.rank, processes.main)
    table = Table(live.work / "rollouts", config.table, processes.rank)
    roles = Roles(config, processes, tokenizer, prompts.train, rewards, texts, engine=engine, table=table)
    learner = Learner.of(config, policy, make_critic(config, policy, tokenizer, scorer))

    def on_row(row: dict[str, float], pace: float) -> None:
        shown = {name: row[name] for name in ("reward", "kl", "entropy", "clip_fraction", "length")}
        live.progress(learner.iteration, config.iterations, "iterations", **shown, samples_s=pace)

    training = Training(roles, learner, live.work / "checkpoints", on_row)
    guard = learner.guard = make_guard(roles, learner, prompts.heldout, None if scorer is None else scorer.spread)
    training.resume()
    if learner.start is None:
        learner.start = measure(roles, learner, prompts.heldout).plain()
        guard.begin()
    live.start_at(learner.iteration, "iterations")
    training.run()
    if learner.stopped:
        live.say(f"stopped: {learner.stopped}")
    if config.ema.release == "ema":
        learner.take_average()
    if config.guard.select == "best":
        guard.take_best()
        learner.policy.refresh()

    start = Measurement(**learner.start)
    end = measure(roles, learner, prompts.heldout)
    engine.close()
    metrics = {
        **metrics_of(start, end),
        **_perplexities(roles, inputs.folders["base"], prompts.heldout, start, end),
        "beta": learner.control.beta,
        "iterations": learner.iteration,
        "stopped": learner.stopped,
        **guard.metrics(learner.iteration),
        "prompts": len(prompts.train),
        "heldout_prompts": len(prompts.heldout),
        "prompts_left_out": prompts.left_out,
        "trainable_parameters": sum(param.numel() for param in learner.policy.parameters().values()),
    }
    if processes.main:
        _write(roles, learner, inputs, out)
        write_rows(out / "samples.jsonl", sample_rows(prompts.heldout, config.heldout_samples, start, end))
        table.put_into(out / "rollouts")
    processes.wait()
    return metrics


def _write(roles: Roles, learner: Learner, inputs: Inputs, out: Path) -> None:
    """Models, curve and guard of a finished run."""
    config, guard = roles.config, learner.guard
    copy_tokenizer(inputs.folders["finetuned"], out)
    learner.policy.save(out, start_name(inputs))
    critic = {name: param.detach().cpu().contiguous() for name, param in learner.critic.trained().items()}
    save_file(critic, out / "critic.safetensors")
    write_rows(out / "training" / "curve.jsonl", learner.curve)
    if guard is not None:
        write_rows(out / "guard.jsonl", guard.rows)
        if guard.kept and config.guard.select == "last" and config.method == "lora":
            save_best(guard, learner, out / "best", start_name(inputs))


def _perplexities(
    roles: Roles, base: Path, heldout: list[Prompt], start: Measurement, end: Measurement
) -> dict[str, float]:
    """Perplexity of the answers before and after under the bare base model, which is loaded for this alone."""
    device, pad_id = roles.processes.device, int(roles.tokenizer.pad_token_id)
    model = load_base(base).to(device)  # type: ignore[arg-type]
    return {
        name: answer_perplexity(model, roles.config, heldout, found, pad_id, device)
        for name, found in (("answer_perplexity_start", start), ("answer_perplexity", end))
    }
