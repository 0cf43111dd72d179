"""The whole recipe: one config a stage."""

from typing import Any, Literal

from pydantic import model_validator

from configs.schema.candidates import CandidateConfig
from configs.schema.corpus import CorpusConfig
from configs.schema.evaluate import EvaluateConfig, ReportConfig
from configs.schema.finetune import FinetuneConfig
from configs.schema.ppo import PPOConfig
from configs.schema.pretrain import PretrainConfig
from configs.schema.rank import RankConfig
from configs.schema.reward import RewardConfig
from configs.schema.strict import Strict, setting
from configs.schema.tokenizer import TokenizerConfig
from configs.schema.world import WorldConfig

StageName = Literal[
    "world", "corpus", "tokenizer", "pretrain", "finetune", "candidates", "rank", "reward", "ppo", "evaluate", "report"
]
STAGES: tuple[StageName, ...] = StageName.__args__  # type: ignore[attr-defined]


class AlignConfig(Strict):
    """Raw text to an aligned chat model."""

    name: str = setting(..., "Name of the recipe, used in run names.", pattern=r"^[a-z0-9][a-z0-9-]*$")
    about: str = setting("", "Hardware, time and command, for the reader.", keyed=False)
    seed: int = setting(0, "Seed of every stage that does not name its own.", ge=0)
    data_root: str | None = setting(
        None, "Folder that ${data_root} stands for; PLUMBLINE_DATA_ROOT when empty.", unit="path", keyed=False
    )
    store: str | None = setting(
        None,
        "Artifact store, a folder or fsspec URL; PLUMBLINE_STORE or .plumbline when empty.",
        unit="path",
        keyed=False,
    )
    price_per_hour: float | None = setting(
        None,
        "Price of a device (a GPU, or a process without one) for an hour; the summary of a run then shows its cost.",
        unit="currency/h",
        keyed=False,
        ge=0,
    )
    world: WorldConfig | None = setting(None, "The small world; empty with real data.")
    corpus: CorpusConfig = setting(..., "Corpus stage.")
    tokenizer: TokenizerConfig = setting(TokenizerConfig(), "Tokenizer stage.")
    pretrain: PretrainConfig = setting(PretrainConfig(), "Pretrain stage.")
    finetune: FinetuneConfig = setting(..., "Finetune stage.")
    candidates: CandidateConfig | None = setting(None, "Answers to be ranked; empty when data sets bring the rankings.")
    rank: RankConfig = setting(..., "Rank stage.")
    reward: RewardConfig = setting(RewardConfig(), "Reward stage.")
    ppo: PPOConfig = setting(..., "PPO stage.")
    evaluate: EvaluateConfig = setting(..., "Evaluate stage.")
    report: ReportConfig = setting(ReportConfig(), "Report stage.")

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, values: Any) -> Any:
        """Every stage without its own seed gets the recipe's, so that keys hold the seed in force; the report
        without a title gets the recipe's name.
        """
        if not isinstance(values, dict):
            return values
        seed = values.get("seed", 0)
        seeded = ("world", "corpus", "pretrain", "finetune", "candidates", "rank", "reward", "ppo", "evaluate")
        filled = dict(values)
        title = values.get("report") or {}
        if isinstance(title, dict) and not title.get("title"):
            filled["report"] = {**title, "title": values.get("name", "")}
        for stage in seeded:
            part = values.get(stage, {} if stage in ("pretrain", "reward") else None)
            if isinstance(part, dict) and part.get("seed") is None:
                filled[stage] = {**part, "seed": seed}
        return filled

    @model_validator(mode="after")
    def _agree(self) -> "AlignConfig":
        """Refuse settings that contradict each other, all at once."""
        problems = _contradictions(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _contradictions(config: AlignConfig) -> list[str]:
    problems = []
    pre, ppo = config.pretrain, config.ppo
    if config.tokenizer.base != pre.base:
        problems.append(
            f"tokenizer.base={config.tokenizer.base!r} and pretrain.base={pre.base!r} differ: a model needs its own "
            "tokenizer, give both the same value"
        )
    if pre.base is None and pre.hidden % pre.heads:
        problems.append(f"pretrain.hidden={pre.hidden} is not a multiple of pretrain.heads={pre.heads}")
    if pre.base is None and pre.architecture == "llama" and (pre.hidden // max(pre.heads, 1)) % 2:
        problems.append(f"pretrain.hidden/heads={pre.hidden // pre.heads} is odd: rotary positions need an even width")
    if pre.base is None and pre.steps == 0:
        problems.append("pretrain.steps=0 without pretrain.base: an untrained model; set steps or base")
    if pre.base is None and config.finetune.max_length > pre.context:
        problems.append(f"finetune.max_length={config.finetune.max_length} exceeds pretrain.context={pre.context}")
    if pre.base is None and config.reward.base is None and config.reward.max_length > pre.context:
        problems.append(f"reward.max_length={config.reward.max_length} exceeds pretrain.context={pre.context}")
    if pre.base is None and ppo.max_prompt_tokens + ppo.max_new_tokens > pre.context:
        problems.append(
            f"ppo.max_prompt_tokens={ppo.max_prompt_tokens} + ppo.max_new_tokens={ppo.max_new_tokens} exceed "
            f"pretrain.context={pre.context}"
        )
    if ppo.batch % ppo.minibatch:
        problems.append(f"ppo.batch={ppo.batch} is not a multiple of ppo.minibatch={ppo.minibatch}")
    problems += _unranked(config)
    if config.world is None:
        problems += [f"{where} names {path!r}, but the recipe has no world" for where, path in world_paths(config)]
    return problems


def _unranked(config: AlignConfig) -> list[str]:
    """Candidates without a ranker, a ranker without candidates, or nothing to rank at all."""
    rank = config.rank
    if config.candidates is None and rank.rankers:
        return [f"rank.ranker={rank.ranker} without candidates: add a candidates block, or set rank.ranker=null"]
    if config.candidates is not None and not rank.rankers:
        return [
            "candidates are sampled and rank.ranker is not set: say who ranks them (rubric, shortest, people, judge)"
        ]
    if config.candidates is None and not rank.sources:
        return ["rank.sources is empty and candidates is not set: name a data set of rankings, or sample"]
    if rank.people.path is not None and "people" not in rank.rankers:
        return [f"rank.people.path={rank.people.path!r}, but rank.ranker={rank.ranker}: set rank.ranker=people"]
    if ("judge" in rank.rankers) != (rank.judge is not None):
        return ["rank.ranker=judge and rank.judge go together: name the judge in rank.judge, or take one of them out"]
    return []


def world_paths(config: AlignConfig) -> list[tuple[str, str]]:
    """Every setting that names a file of the small world, as (path of the setting, value)."""
    found: list[tuple[str, str]] = []

    def walk(value: Any, where: str) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                walk(item, f"{where}.{name}" if where else name)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{where}.{index}")
        elif isinstance(value, str) and value.startswith("world:"):
            found.append((where, value))

    walk(config.model_dump(), "")
    return found
