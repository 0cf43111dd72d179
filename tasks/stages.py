"""The stages, in order: what each needs, what it makes, how it is started. Reads as the table of contents.

Implementations are imported inside the functions, which run in child processes: a flow that reuses everything
imports no torch.
"""

from pathlib import Path
from typing import Any

from configs.schema.candidates import CandidateConfig
from configs.schema.corpus import CorpusConfig
from configs.schema.evaluate import EvaluateConfig, ReportConfig
from configs.schema.finetune import FinetuneConfig
from configs.schema.ppo import PPOConfig
from configs.schema.pretrain import PretrainConfig
from configs.schema.rank import RankConfig
from configs.schema.reward import RewardConfig
from configs.schema.tokenizer import TokenizerConfig
from configs.schema.trl import TrlConfig
from configs.schema.world import WorldConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.stage import Stage, stage

Metrics = dict[str, Any]
ALIGNERS = ("ppo", "trl")  # a recipe has one of them


@stage(version=1, makes="world")
def world(config: WorldConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Generate the small world: documents, stories, instructions, rankings, held-out prompts."""
    from tasks.world.write import write_world

    return write_world(config, inputs, out, live)


@stage(
    version=2,  # rejects in shards, documents cut by bytes too
    makes="corpus",
    needs={"world": "world"},
)
def corpus(config: CorpusConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Read, normalise, filter, screen, deduplicate and mix pretraining text."""
    from tasks.corpus.build import build_corpus

    return build_corpus(config, inputs, out, live)


@stage(version=1, makes="tokenizer", needs={"corpus": "corpus"})
def tokenizer(config: TokenizerConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Train a byte-level BPE with chat special tokens, or take the base's over."""
    from tasks.tokenizer import train_tokenizer

    return train_tokenizer(config, inputs, out, live)


@stage(version=1, makes="model", needs={"corpus": "corpus", "tokenizer": "tokenizer"}, accelerate=True)
def pretrain(config: PretrainConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Train the base model on the corpus, or take a given one over."""
    from tasks.pretrain.train import pretrain as train

    return train(config, inputs, out, live)


@stage(version=1, makes="adapter", needs={"world": "world", "base": "pretrain"}, accelerate=True)
def finetune(config: FinetuneConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Fit a LoRA adapter to instructions, loss on the assistant's tokens only."""
    from tasks.finetune.train import finetune as train

    return train(config, inputs, out, live)


@stage(
    version=3,  # decoding in fewer operations rounds otherwise
    makes="candidates",
    needs={"world": "world", "base": "pretrain", "finetuned": "finetune"},
    gpu=True,
)
def candidates(config: CandidateConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Sample K answers to each prompt from the fine-tuned model, to be ranked."""
    from tasks.candidates.sample import sample_candidates

    return sample_candidates(config, inputs, out, live)


@stage(
    version=4,  # prompts that differ in white space only are on one side
    makes="rankings",
    needs={"world": "world", "candidates": "candidates"},
)
def rank(config: RankConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Collect rankings of K answers a prompt: from data sets, and of the candidates by a program or by people."""
    from tasks.rank.build import build_rankings

    return build_rankings(config, inputs, out, live)


@stage(
    version=3,  # adapters with heads of their own, constants of every member, judgement.json
    makes="reward",
    needs={"base": "pretrain", "finetuned": "finetune", "rankings": "rank"},
    accelerate=True,
)
def reward(config: RewardConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Train the reward model on K-way rankings."""
    from tasks.reward.train import train_reward

    return train_reward(config, inputs, out, live)


@stage(
    version=3,  # passes in fewer operations round otherwise
    makes="adapter",
    needs={"world": "world", "corpus": "corpus", "base": "pretrain", "finetuned": "finetune", "reward": "reward"},
    accelerate=True,
)
def ppo(config: PPOConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Align the fine-tuned model to the reward model by PPO."""
    from tasks.ppo.train import train_ppo

    return train_ppo(config, inputs, out, live)


@stage(
    version=1,
    makes="adapter",
    needs={"world": "world", "base": "pretrain", "finetuned": "finetune", "rankings": "rank", "reward": "reward"},
    accelerate=True,
)
def trl(config: TrlConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Align the fine-tuned model by DPO or KTO on the rankings, or by GRPO or RLOO against the reward model."""
    from tasks.trl_methods.train import train_trl

    return train_trl(config, inputs, out, live)


@stage(
    version=1,
    makes="evaluation",
    needs={
        "world": "world",
        "corpus": "corpus",
        "base": "pretrain",
        "finetuned": "finetune",
        "reward": "reward",
        "aligned": ("ppo", "trl"),
    },
    gpu=True,
)
def evaluate(config: EvaluateConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Compare base, fine-tuned and aligned model on held-out text and prompts."""
    from tasks.evaluate.evaluate import evaluate as measure

    return measure(config, inputs, out, live)


@stage(
    version=3,  # the section on the rankings
    makes="report",
    needs={
        "corpus": "corpus",
        "tokenizer": "tokenizer",
        "base": "pretrain",
        "finetuned": "finetune",
        "candidates": "candidates",
        "rankings": "rank",
        "reward": "reward",
        "aligned": ("ppo", "trl"),
        "evaluation": "evaluate",
    },
)
def report(config: ReportConfig, inputs: Inputs, out: Path, live: Live) -> Metrics:
    """Write one HTML page with curves and samples, and summary.json."""
    from tasks.report.build import build_report

    return build_report(config, inputs, out, live)


ALL: tuple[Stage, ...] = (
    world, corpus, tokenizer, pretrain, finetune, candidates, rank, reward, ppo, trl, evaluate, report,
)  # fmt: skip
BY_NAME: dict[str, Stage] = {item.name: item for item in ALL}


def dependents(name: str) -> list[str]:
    """A stage and every stage that depends on it, in order."""
    found = {name}
    for item in ALL:
        if found & {maker for makers in item.needs.values() for maker in makers}:
            found.add(item.name)
    return [item.name for item in ALL if item.name in found]
