"""Time of the PPO stage from what was measured of its passes on this machine."""

from tasks.planner.ppo_flops import PHASES, passes
from tasks.planner.ppo_work import Work
from tasks.planner.profile import Profile


def iteration_seconds(work: Work, profile: Profile) -> dict[str, float]:
    """Seconds of an iteration by phase; texts, scores and statistics stand beside the passes."""
    found = passes(work)
    rates = {"ptx": profile.rates["learn"], **profile.rates}
    times = {
        phase: sum(rates[kind].seconds(found[kind][0]) * found[kind][1] for kind in kinds if kind in found)
        for phase, kinds in PHASES.items()
        if any(kind in found for kind in kinds)
    }
    return times | {"beside the passes": profile.host * work.rows * work.lengths.answer}


def stage_seconds(work: Work, profile: Profile) -> dict[str, float]:
    """Seconds of the whole stage: imports, iterations, and measurements on held-out prompts."""
    iteration = iteration_seconds(work, profile)
    iterations = work.config.iterations * sum(iteration.values())
    # An answer that is measured is sampled, read by policy and reference, and scored, as one of a rollout
    read = sum(
        iteration.get(name, 0.0) for name in ("sampling", "reference and values", "scoring", "beside the passes")
    )
    answers = 2 * work.lengths.heldout
    if work.config.guard.every is not None:
        times = work.config.iterations // work.config.guard.every + 1
        answers += times * min(work.config.guard.prompts, work.lengths.heldout)
    measured = answers * work.config.heldout_samples * read / work.rows
    return {"imports": profile.start, "iterations": iterations, "measurements": measured}
