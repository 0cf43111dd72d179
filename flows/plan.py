"""What a recipe would do: walk the stages without running them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from configs.schema import AlignConfig
from configs.schema.rank import RankConfig
from flows.gate import shortfall
from tasks.artifacts import Store
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig, StageFailure
from tasks.stages import ALL, BY_NAME


@dataclass(frozen=True)
class Step:
    """One stage of a plan: its key when all inputs are known, and why it would run or be reused."""

    name: str
    key: str | None
    ref: ArtifactRef | None
    action: str
    problem: str | None = None


def plan(store: Store, config: AlignConfig, forced: Collection[str] = ()) -> list[Step]:
    """Every stage in order. Verifies nothing beyond what it must open, runs nothing."""
    found: dict[str, ArtifactRef] = {}
    steps: list[Step] = []
    for stage in ALL:
        part: Any = getattr(config, stage.name)
        if part is None:
            continue
        needs = {name: made for name, made in stage.needs.items() if getattr(config, made) is not None}
        absent = [made for made in needs.values() if made not in found]
        if absent:
            steps.append(Step(stage.name, None, None, f"run (after {absent[0]})"))
            continue
        if part is config.rank and "people" in config.rank.rankers:
            part, missing = _with_people(store, config.rank, found["candidates"])
            if missing:
                steps.append(Step(stage.name, None, None, "wait for people", f"rankings by people: {missing}"))
                continue
        if part is config.ppo and (missing := _refused(store, config, found["reward"])):
            steps.append(Step(stage.name, None, None, "refused", missing))
            continue
        try:
            key = stage.plan(store, part, {name: found[made] for name, made in needs.items()}, config.data_root).key
        except StageFailure as failure:
            steps.append(Step(stage.name, None, None, "cannot run", str(failure)))
            continue
        ref = store.find(stage.name, key)
        if ref and stage.name not in forced:
            found[stage.name] = ref
        steps.append(Step(stage.name, key, ref, _action(stage.name, ref, forced)))
    return steps


def _with_people(store: Store, config: RankConfig, candidates: ArtifactRef) -> tuple[RankConfig, str]:
    """The rank settings with the rankings that people gave, or what is still missing."""
    from tasks.rank.desk import open_desk, with_rankings  # pyarrow, only with people

    desk = open_desk(store, candidates, config.people)
    return (with_rankings(config, desk.accepted), "") if desk.accepted.is_file() else (config, desk.progress())


def _refused(store: Store, config: AlignConfig, reward: ArtifactRef) -> str:
    """Why the reward model may not go on to PPO; empty when it may."""
    gate = config.reward.gate
    return shortfall(gate, store.manifest(reward).metrics) if gate.refuse else ""


def _action(name: str, ref: ArtifactRef | None, forced: Collection[str]) -> str:
    if name in forced:
        return "run (forced)"
    return "reuse" if ref else "run"


def find_inputs(store: Store, config: AlignConfig, name: str) -> dict[str, ArtifactRef]:
    """References of a stage's inputs, from the store. Raises BadConfig naming the first stage that is missing."""
    made = {step.name: step for step in plan(store, config)}
    refs = {}
    for input_name, needed in BY_NAME[name].needs.items():
        if getattr(config, needed) is None:
            continue
        step = made[needed]
        if step.ref is None:
            reason = step.problem or f"its artifact is not in the store ({step.action})"
            raise BadConfig(f"{name} needs {needed}: {reason}; run `plumbline run` on the recipe, or the {needed} flow")
        refs[input_name] = step.ref
    return refs
