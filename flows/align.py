"""The whole DAG: raw text to an aligned chat model."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from configs.schema import AlignConfig, StageName
from flows.engine import open_run
from tasks import stages
from tasks.artifacts.ref import ArtifactRef


@flow(name="align", flow_run_name="{config.name}", validate_parameters=True, persist_result=False)
def align(
    config: AlignConfig,
    rerun_from: Annotated[StageName | None, Field(description="Run this stage and all that depend on it.")] = None,
    force: Annotated[list[StageName], Field(description="Run these stages although they could be reused.")] = [],  # noqa: B006
) -> ArtifactRef:
    """Corpus → tokenizer → pretrain → finetune → rank → reward → PPO → evaluate → report."""
    with open_run(config, rerun_from, force) as run:
        world = stages.world(run, config.world) if config.world else None
        corpus = stages.corpus(run, config.corpus, world=world)
        tokenizer = stages.tokenizer(run, config.tokenizer, corpus=corpus)
        base = stages.pretrain(run, config.pretrain, corpus=corpus, tokenizer=tokenizer)
        chat = stages.finetune(run, config.finetune, world=world, base=base)
        ranks = stages.rank(run, config.rank, world=world, base=base, finetuned=chat)
        reward = stages.reward(run, config.reward, base=base, finetuned=chat, rankings=ranks)
        aligned = stages.ppo(run, config.ppo, world=world, base=base, finetuned=chat, reward=reward)
        models = {"corpus": corpus, "base": base, "finetuned": chat, "reward": reward, "aligned": aligned}
        scores = stages.evaluate(run, config.evaluate, world=world, **models)
        return stages.report(run, config.report, tokenizer=tokenizer, rankings=ranks, evaluation=scores, **models)
