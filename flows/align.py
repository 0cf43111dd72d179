"""The whole DAG: raw text to an aligned chat model."""

from prefect import flow

from configs.schema.dials import Dials
from flows.engine import open_run
from flows.form import Force, Overrides, Recipe, RerunFrom, Turned, name_run, read_form
from flows.gate import pass_gate
from flows.waiting import for_rankings
from tasks import stages
from tasks.artifacts.ref import ArtifactRef


@flow(name="align", flow_run_name=name_run, validate_parameters=True, persist_result=False)
def align(
    recipe: Recipe = "quickstart",
    dials: Turned = Dials(),
    overrides: Overrides = [],  # noqa: B006
    rerun_from: RerunFrom = None,
    force: Force = [],  # noqa: B006
) -> ArtifactRef:
    """Corpus → tokenizer → pretrain → finetune → candidates → rank → reward → PPO or TRL → evaluate → report."""
    config = read_form(recipe, dials, overrides)
    with open_run(config, rerun_from, force) as run:
        world = stages.world(run, config.world) if config.world else None
        corpus = stages.corpus(run, config.corpus, world=world)
        tokenizer = stages.tokenizer(run, config.tokenizer, corpus=corpus)
        base = stages.pretrain(run, config.pretrain, corpus=corpus, tokenizer=tokenizer)
        chat = stages.finetune(run, config.finetune, world=world, base=base)
        tuned = {"world": world, "base": base, "finetuned": chat}
        sampled = stages.candidates(run, config.candidates, **tuned) if config.candidates else None
        ranking = for_rankings(run, config.rank, sampled)
        ranks = stages.rank(run, ranking, world=world, candidates=sampled)
        reward = stages.reward(run, config.reward, base=base, finetuned=chat, rankings=ranks)
        paid = pass_gate(run, config.reward.gate, reward) if config.rewarded else reward
        if config.trl and config.aligner == "trl":
            aligned = stages.trl(run, config.trl, **tuned, rankings=ranks, reward=paid)
        else:
            aligned = stages.ppo(run, config.ppo, **tuned, corpus=corpus, reward=paid)
        models = {"corpus": corpus, "base": base, "finetuned": chat, "reward": reward, "aligned": aligned}
        scores = stages.evaluate(run, config.evaluate, world=world, **models)
        others = {"tokenizer": tokenizer, "candidates": sampled, "rankings": ranks, "evaluation": scores}
        return stages.report(run, config.report, **others, **models)
