"""The whole DAG: raw text to an aligned chat model."""

from prefect import flow

from configs.schema.dials import Dials
from flows.engine import open_run
from flows.form import Force, Overrides, Recipe, RerunFrom, name_run, read_form
from tasks import stages
from tasks.artifacts.ref import ArtifactRef


@flow(name="align", flow_run_name=name_run, validate_parameters=True, persist_result=False)
def align(
    recipe: Recipe = "quickstart",
    dials: Dials = Dials(),
    overrides: Overrides = [],  # noqa: B006
    rerun_from: RerunFrom = None,
    force: Force = [],  # noqa: B006
) -> ArtifactRef:
    """Corpus → tokenizer → pretrain → finetune → rank → reward → PPO → evaluate → report."""
    config = read_form(recipe, dials, overrides)
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
