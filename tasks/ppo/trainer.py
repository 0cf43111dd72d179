"""PPO as a library: rollout → score → advantages → epochs of minibatches → log, without a flow around it.

    trainer = PPOTrainer(model="my-model", reward_funcs=brief, args={"iterations": 10}, train_dataset=rows)
    trainer.train()
    trainer.save_model("aligned")

Names and data are TRL's: ``model``, ``reward_funcs``, ``processing_class``, rows with a ``prompt`` that is a text or a
list of messages, reward functions of GRPOTrainer, metrics as its PPOTrainer calls them.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from accelerate import Accelerator
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.allocator import keep_freed_memory
from tasks.chat import end_ids
from tasks.checkpoint import StopRequest
from tasks.engines.choose import make_engine
from tasks.failures import BadConfig, LostWorker
from tasks.heldout import Measurement
from tasks.models import switch_off_dropout
from tasks.ppo.heldout import measure
from tasks.ppo.iteration import Roles, iterate
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.rows import encode_rows
from tasks.ppo.supported import check_supported
from tasks.ppo.terms import reward_terms
from tasks.ppo.watch import make_guard
from tasks.prompt_sets import Prompt
from tasks.rewards import RewardFunction, Rewards

Row = dict[str, float]
TRL_NAMES = {
    "objective/kl": "kl",
    "objective/entropy": "surprise",
    "objective/non_score_reward": "penalty",
    "objective/scores": "reward",
    "policy/approxkl_avg": "approx_kl",
    "policy/clipfrac_avg": "clip_fraction",
    "policy/entropy_avg": "entropy",
    "loss/policy_avg": "loss",
    "loss/value_avg": "value_loss",
    "val/clipfrac_avg": "value_clip_fraction",
    "val/ratio": "ratio",
    "val/ratio_var": "ratio_variance",
    "lr": "lr",
}


@dataclass
class Training:
    """The loop, for the stage and for the library: iterations, checkpoints, and whoever wants to hear of them."""

    roles: Roles
    learner: Learner
    checkpoints: Path | None
    on_row: Callable[[Row, float], None]  # the row of an iteration, and its answers a second

    def resume(self) -> None:
        """Go back to the newest sound checkpoint, if there is one."""
        if self.checkpoints is not None:
            self.learner.restore(self.checkpoints, self.roles.processes)

    def run(self) -> None:
        """Iterate to the end, to the KL limit or until the guard stops the run, which ``learner.stopped`` then names.

        Checkpoints after every so many iterations, at the end, when asked to stop, and where ``checkpoint_steps`` says
        so, inside an update. Raises LostWorker when it was asked to stop.
        """
        config, learner = self.roles.config, self.learner
        with StopRequest() as stop:
            while learner.iteration < config.iterations and not learner.stopped:
                began = time.monotonic()
                row = iterate(self.roles, learner, lambda: self._after_step(stop))
                if row is None:
                    return
                learner.curve.append(row)
                if learner.guard is not None:
                    learner.guard.after(row)
                    learner.stopped = learner.guard.stopped
                stopping, last = stop.agreed(), learner.iteration == config.iterations
                if stopping or last or learner.stopped or learner.iteration % config.checkpoint.every == 0:
                    self._save()
                if stopping:
                    raise LostWorker(f"ppo was asked to stop; iteration {learner.iteration} is saved")
                self.on_row(row, config.batch / (time.monotonic() - began))

    def _after_step(self, stop: StopRequest) -> None:
        config, learner, stopping = self.roles.config, self.learner, stop.agreed()
        assert learner.round is not None
        every = config.checkpoint_steps
        if stopping or (every is not None and learner.round.done % every == 0):
            self._save()
        if stopping:
            done = f"{learner.round.done} of {config.update_steps} steps of its update"
            raise LostWorker(f"ppo was asked to stop; iteration {learner.iteration + 1} is saved after {done}")

    def _save(self) -> None:
        config, processes = self.roles.config, self.roles.processes
        if self.checkpoints is not None:
            self.learner.save(self.checkpoints, config.checkpoint.keep, config.update_steps, processes)
            processes.wait()


class PPOTrainer:
    """Train a causal language model by PPO.

    model: a model, or the name or folder of one; with ``args.method`` lora it becomes the frozen start model.
    reward_funcs: a Python function, a sequence classifier, the folder of a reward model of ours, or a list of these.
    args: settings, or a dict of them; ``PPOConfig.from_trl`` takes TRL's names.
    train_dataset, eval_dataset: rows with ``prompt``; a text is continued as it is, messages go through the template.
    processing_class: the tokenizer, read beside the model when it is left out.
    log: called once an iteration with TRL's metric names.  output_dir: where checkpoints lie; none without it.
    """

    def __init__(
        self,
        model: str | Path | PreTrainedModel,
        reward_funcs: RewardFunction | nn.Module | str | Path | Sequence[Any],
        args: PPOConfig | Mapping[str, Any] | None = None,
        train_dataset: Iterable[Mapping[str, Any]] = (),
        eval_dataset: Iterable[Mapping[str, Any]] | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        *,
        reward_weights: Sequence[float] | None = None,
        reward_processing_classes: Sequence[PreTrainedTokenizerBase | None] | None = None,
        log: Callable[[Row], None] | None = None,
        output_dir: str | Path | None = None,
    ) -> None:
        config = args if isinstance(args, PPOConfig) else PPOConfig.of(**(args or {}))
        self.config = config if config.seed is not None else config.model_copy(update={"seed": 0})
        processes = Processes(Accelerator())
        check_supported(processes.accelerator)
        if self.config.ptx.coefficient:
            raise BadConfig("ppo.ptx reads the artifacts of a run: use the ppo stage, or set ppo.ptx.coefficient=0")
        self.name, start = _open_model(model)
        self.processing_class = processing_class or AutoTokenizer.from_pretrained(self.name)
        if self.processing_class.pad_token_id is None:
            self.processing_class.pad_token = self.processing_class.eos_token
        limit = self.config.max_prompt_tokens
        prompts = encode_rows(train_dataset, self.processing_class, limit)
        if not prompts:
            raise BadConfig(f"train_dataset has no prompt of at most {limit} tokens; raise max_prompt_tokens")
        self.eval_prompts = encode_rows(eval_dataset or (), self.processing_class, limit)
        terms = reward_terms(
            reward_funcs, reward_weights, reward_processing_classes, self.processing_class, processes.device
        )
        self.learner = Learner.create(self.config, start, processes.device)
        ends = end_tokens(self.processing_class, start)
        engine = make_engine(self.config.rollout, self.config.lora.rank, processes.main)
        self.roles = Roles(
            self.config, processes, self.processing_class, prompts, Rewards(terms), ends=ends, engine=engine
        )
        if self.config.guard.every is not None and not self.eval_prompts:
            raise BadConfig("ppo.guard.every measures on held-out prompts: give an eval_dataset, or leave it empty")
        self.guard = self.learner.guard = make_guard(self.roles, self.learner, self.eval_prompts)
        self._log = log or print_row
        checkpoints = None if output_dir is None else Path(output_dir) / "checkpoints"
        self.training = Training(self.roles, self.learner, checkpoints, self._on_row)

    def train(self) -> list[Row]:
        """Train to the end, from the newest checkpoint of ``output_dir``; returns a row of figures an iteration."""
        keep_freed_memory()
        self.training.resume()
        self.guard.begin()
        self.training.run()
        if self.config.ema.release == "ema":
            self.learner.take_average()
        if self.config.guard.select == "best":
            self.guard.take_best()
            self.learner.policy.refresh()
        return cast(list[Row], self.learner.curve)

    def evaluate(self, eval_dataset: Iterable[Mapping[str, Any]] | None = None) -> Row:
        """Sampled answers to the rows of ``eval_dataset``: mean reward, KL from the start, length, share that ended."""
        prompts = self.eval_prompts
        if eval_dataset is not None:
            prompts = encode_rows(eval_dataset, self.processing_class, self.config.max_prompt_tokens)
        found = measure(self.roles, self.learner, prompts)
        return {
            "eval_reward": fmean(found.score),
            "eval_kl": fmean(found.kl),
            "eval_length": fmean(len(ids) for ids in found.ids),
            "eval_ended": fmean(found.ended),
        }

    def generate(self, rows: Iterable[Mapping[str, Any]]) -> Measurement:
        """Sampled answers to rows, with their scores and KL."""
        prompts: list[Prompt] = encode_rows(rows, self.processing_class, self.config.max_prompt_tokens)
        return measure(self.roles, self.learner, prompts)

    def save_model(self, output_dir: str | Path) -> None:
        """Write the adapter, or the whole model with method full, and the tokenizer."""
        folder = Path(output_dir)
        if self.roles.processes.main:
            folder.mkdir(parents=True, exist_ok=True)
            self.learner.policy.save(folder, self.name)
            self.processing_class.save_pretrained(folder)
        self.roles.processes.wait()

    def _on_row(self, row: Row, pace: float) -> None:
        if self.roles.processes.main:
            self._log(trl_row(row, self.config.batch, pace))


def trl_row(row: Row, batch: int, pace: float) -> Row:
    """A row of the curve under TRL's names, answers a second included. Terms of the reward are rewards/NAME."""
    terms = {f"rewards/{name.removeprefix('reward_')}": value for name, value in row.items() if "reward_" in name}
    return {
        "episode": row["step"] * batch,
        **{theirs: row[ours] for theirs, ours in TRL_NAMES.items()},
        "objective/rlhf_reward": row["reward"] + row["penalty"],
        "val/num_eos_tokens": round(row["ended"] * batch),
        **{name: value for name, value in terms.items() if name != "rewards/clip_fraction"},
        "samples_per_second": pace,
    }


def print_row(row: Row) -> None:
    """One line an iteration."""
    print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def end_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> list[int]:
    """Ids that end an answer: the tokenizer's, and those of the model's generation settings, which may be a list."""
    named = getattr(model.generation_config, "eos_token_id", None)
    return sorted({*end_ids(tokenizer), *(named if isinstance(named, list) else [] if named is None else [named])})


def _open_model(model: str | Path | PreTrainedModel) -> tuple[str, PreTrainedModel]:
    """Name and frozen model, without dropout: with it the ratio would compare two different networks."""
    if not isinstance(model, (str, Path)):
        return str(model.config.name_or_path), switch_off_dropout(model.eval().requires_grad_(False))
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="float32", use_safetensors=True, trust_remote_code=False)
    return str(model), switch_off_dropout(loaded.eval().requires_grad_(False))
