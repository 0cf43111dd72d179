"""What the PPO stage will take, as plain values for a table or JSON."""

from typing import Any

from tasks.planner.ppo_flops import flops
from tasks.planner.ppo_memory import cache, logits, memory
from tasks.planner.ppo_time import iteration_seconds, stage_seconds
from tasks.planner.ppo_work import Work
from tasks.planner.profile import Profile


def forecast(work: Work, profile: Profile | None) -> dict[str, Any]:
    """Parameters, memory by term in bytes, operations by phase and, with a profile, seconds of a process.

    ``memory.peak`` is what the process holds at the most, ``own`` that without its imports.
    """
    found = memory(work, profile.overhead if profile else None)
    operations = flops(work)
    return {
        "parameters": {
            "base": work.shape.parameters,
            "policy": work.policy_parameters,
            "critic": work.critic_parameters,
            "reward": work.reward_parameters,
        },
        "lengths": {"prompt": work.lengths.prompt, "answer": work.lengths.answer, "heldout": work.lengths.heldout},
        "memory": {
            "held": {name: round(value) for name, value in found.held.items()},
            "phases": {name: round(value) for name, value in found.phases.items()},
            "largest_phase": found.phase,
            "kv_cache": round(cache(work)),
            "logits": round(logits(work)),
            "holes": round(found.holes),
            "base_again": round(found.end),
            "first_use": round(found.overhead.first_use),
            "imports": round(found.overhead.imports),
            "own": round(found.own),
            "peak": round(found.peak),
        },
        "flops": {
            "phases": operations,
            "iteration": sum(operations.values()),
            "total": work.config.iterations * sum(operations.values()),
        },
        "seconds": None if profile is None else _seconds(work, profile),
    }


def _seconds(work: Work, profile: Profile) -> dict[str, Any]:
    phases, stage = iteration_seconds(work, profile), stage_seconds(work, profile)
    return {
        "phases": phases,
        "iteration": sum(phases.values()),
        "stage": stage,
        "total": sum(stage.values()),
        "threads": profile.threads,
        "measured_with": {"rows": profile.rows, "tokens": profile.tokens},
    }
