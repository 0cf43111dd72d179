"""The guard of a run, made from its settings and roles."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tasks.failures import BadData
from tasks.ppo.guard import Guard, Sampled, Scorer, Yardstick
from tasks.ppo.heldout import measure
from tasks.ppo.iteration import Roles
from tasks.ppo.learner import Learner
from tasks.prompt_sets import Messages, Prompt
from tasks.reward_model import RewardModel
from tasks.rewards import function_term, import_function, model_term

Uncertainty = Callable[[list[Messages], list[str]], Tensor]


def make_guard(roles: Roles, learner: Learner, heldout: list[Prompt], uncertainty: Uncertainty | None = None) -> Guard:
    """``uncertainty``: deviation of the trained reward model's members, when it has several.

    Raises BadConfig for a held-out reward that cannot be had.
    """
    config = roles.config.guard
    if config.every is None or not heldout:
        return Guard(config, lambda: _tensors(learner))
    chosen = heldout[: config.prompts]

    def sample() -> Sampled:
        found = measure(roles, learner, chosen)
        prompts = [prompt for prompt in chosen for _ in range(roles.config.heldout_samples)]
        return Sampled(prompts, found.answers, found.ids, found.kl, found.score)

    spread = None if uncertainty is None else _on_prompts(uncertainty)
    return Guard(config, lambda: _tensors(learner), Yardstick(sample, _gold(roles), spread))


def save_best(guard: Guard, learner: Learner, folder: Path, start_model: str) -> None:
    """Write the kept policy beside the last one, which stays in place."""
    last = {name: tensor.detach().clone() for name, tensor in _tensors(learner).items()}
    guard.take_best()
    folder.mkdir(parents=True)
    learner.policy.save(folder, start_model)
    with torch.no_grad():
        for name, tensor in _tensors(learner).items():
            tensor.copy_(last[name])


def _tensors(learner: Learner) -> dict[str, Tensor]:
    return dict(learner.policy.parameters())


def _gold(roles: Roles) -> Scorer | None:
    config = roles.config.guard
    if config.function is not None:
        score = function_term(import_function(config.function, "ppo.guard.function")).score

        def said(prompts: list[Prompt], answers: list[str]) -> Tensor:
            score_B = score(prompts, answers)
            if score_B.isnan().any():
                raise BadData(f"ppo.guard.function={config.function} has nothing to say of an answer; it always must")
            return score_B

        return said
    if config.model is not None:
        return model_term(RewardModel(Path(config.model), roles.processes.device)).score
    return None


def _on_prompts(uncertainty: Uncertainty) -> Scorer:
    return lambda prompts, answers: uncertainty([prompt.turns for prompt in prompts], answers)
