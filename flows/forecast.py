"""What a recipe's PPO stage will take: the planner is told what recipe and store know, and its answer is printed."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.schema import AlignConfig
from flows.plan import Step
from tasks.artifacts import Store
from tasks.failures import StageFailure
from tasks.planner.forecast import forecast
from tasks.planner.measure import measure_machine
from tasks.planner.ppo_work import Lengths, RewardShape, Work
from tasks.planner.profile import load_profile, profile_path
from tasks.planner.prompts import Prompts, prompt_lengths
from tasks.planner.shape import ModelShape, shape_of_folder, shape_of_recipe
from tasks.run import home
from tasks.sources import CACHE, find_files


def ppo_forecast(store: Store, config: AlignConfig, steps: list[Step], measure: bool) -> dict[str, Any] | None:
    """The forecast as ``tasks.planner.forecast`` gives it, with ``assumed``; or ``problem``: why there is none.

    None for a recipe that aligns by another method. ``measure``: time this machine first. Runs nothing of the recipe.
    """
    if "ppo" not in config.stages:
        return None
    made = {step.name: step for step in steps}
    try:
        shape = _base(store, config, made)
        reward = _reward(store, config, made, shape)
    except StageFailure as failure:
        return {"problem": str(failure)}
    if shape is None or reward is None:
        name = "pretrain" if shape is None else "reward"
        return {"problem": f"the shape of {name}.base is known when the {name} stage has run"}
    found = _prompts(store, config, made)
    limit = config.ppo.max_prompt_tokens
    lengths = Lengths(
        min(found.longest, limit) if found else limit, config.ppo.max_new_tokens, found.heldout if found else 0
    )
    work = Work(config.ppo, shape, reward, lengths, config.ppo.launch.processes)
    threads = config.ppo.launch.threads
    profile = measure_machine(work, threads, home(), again=True) if measure else None
    profile = profile or load_profile(profile_path(home(), work, threads))
    assumed = ["no answer ends before ppo.max_new_tokens", "memory and time of a process on the CPU"]
    if found is None:
        assumed += ["prompts of ppo.max_prompt_tokens, held-out prompts not counted: they are read when there are a "
                    "tokenizer and their files"]  # fmt: skip
    return {**forecast(work, profile), "assumed": assumed}


def _base(store: Store, config: AlignConfig, made: dict[str, Step]) -> ModelShape | None:
    """Of the recipe for a model from scratch, else of the base's folder or of the artifact; None before that."""
    if config.pretrain.base is None:
        return shape_of_recipe(config.pretrain, config.tokenizer.vocabulary)
    return _given(store, config.pretrain.base, made.get("pretrain"))


def _given(store: Store, base: str, step: Step | None) -> ModelShape | None:
    folder = Path(base).expanduser()
    if (folder / "config.json").is_file():
        return shape_of_folder(folder)
    return shape_of_folder(store.open(step.ref)) if step and step.ref else None


def _reward(store: Store, config: AlignConfig, made: dict[str, Step], base: ModelShape | None) -> RewardShape | None:
    reward, ppo = config.reward, config.ppo
    if all(part.model is None for part in ppo.rewards) and ppo.critic.start != "reward":
        return RewardShape()
    members = reward.members if reward.ensemble == "seeds" else 1
    last = reward.readout == "last"
    if reward.base is not None:
        whole = _given(store, reward.base, made.get("reward"))
        return RewardShape(whole=whole, members=members, last=last) if whole else None
    if reward.method == "full":
        return RewardShape(whole=base, members=members, last=last)
    return RewardShape(rank=reward.lora.rank, targets=reward.lora.targets, members=members, last=last)


def _prompts(store: Store, config: AlignConfig, made: dict[str, Step]) -> Prompts | None:
    """Lengths of the recipe's prompts, where tokenizer and files are there already."""
    ref, world = made["tokenizer"].ref, made.get("world")
    if ref is None:
        return None
    folder = store.open(world.ref) if world and world.ref else None
    files: list[list[Path]] = []
    try:
        for name, source in (("prompts", config.ppo.prompts), ("heldout", config.ppo.heldout)):
            where = source and find_files("ppo", name, source.path, config.data_root, folder, store.scratch / CACHE)
            files.append(where or [])
        return prompt_lengths(config.ppo, files[0], files[1], store.open(ref))
    except StageFailure:
        return None  # what is missing is said of the stage itself


def print_forecast(console: Console, found: dict[str, Any]) -> None:
    """Tables of memory, operations and time."""
    if "problem" in found:
        console.print(f"\nppo: memory and time are not predicted: {found['problem']}", markup=False, soft_wrap=True)
        return
    memory, flops, seconds = found["memory"], found["flops"], found["seconds"]
    table = Table("memory of ppo", "MB", title=f"ppo, a process: {memory['peak'] / 1e6:,.0f} MB at the most")
    rows = {name: value for name, value in memory["held"].items() if value or name == "reference"}
    largest = memory["largest_phase"]
    rows |= {f"largest phase: {largest}": memory["phases"][largest]}
    rows |= {"  logits in the update": memory["logits"], "  (KV cache when sampling)": memory["kv_cache"]}
    rows |= {"holes between tensors": memory["holes"]}
    rows |= {"  (base once more, at the end)": memory["base_again"], "libraries at first use": memory["first_use"]}
    for name, value in {**rows, "imports": memory["imports"], "in all": memory["peak"]}.items():
        table.add_row(name, _mb(value))
    console.print(table, markup=False)
    work = Table("phase of an iteration", "GFLOP", "s")
    times = seconds["phases"] if seconds else {}
    for name in {**flops["phases"], **times}:
        work.add_row(name, f"{flops['phases'].get(name, 0) / 1e9:,.2f}", f"{times[name]:.3f}" if times else "")
    work.add_row("in all", f"{flops['iteration'] / 1e9:,.2f}", f"{seconds['iteration']:.3f}" if seconds else "")
    console.print(work, markup=False)
    if seconds:
        took = f"{flops['total'] / 1e12:,.2f} TFLOP, {seconds['total']:,.0f} s"
        console.print(f"the stage: {took} with {seconds['threads']} thread(s)", markup=False)
    else:
        console.print("times need a measurement of this machine: plumbline plan RECIPE --measure", markup=False)
    lengths = found["lengths"]
    console.print(
        f"taken as given: prompts of {lengths['prompt']} tokens, " + ", ".join(found["assumed"]), markup=False
    )


def _mb(value: float) -> str:
    return f"{value / 1e6:,.1f}"
