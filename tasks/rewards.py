"""What an answer is paid for: a weighted sum of a reward model's score and of Python functions."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from configs.schema.ppo_parts import RewardPart
from tasks.failures import BadConfig, BadData
from tasks.prompt_sets import Prompt
from tasks.reward_model import Score, finite

RewardFunction = Callable[..., list[float | None]]
"""fn(prompts=…, completions=…, **columns) → one number an answer, None where it has nothing to say.

The signature of reward functions of TRL's GRPOTrainer. Prompts and completions are texts; of prompts that are
conversations they are lists of messages. Every other key of the prompts' rows comes as a list of the same length.
"""


class Term(NamedTuple):
    """One term. ``score`` gives score_B in float32 on the CPU, NaN where the term has nothing to say."""

    name: str
    weight: float
    score: Callable[[list[Prompt], list[str]], Tensor]


class Scores(NamedTuple):
    """total_B: the weighted sum; terms: each term by name, not weighted, NaN where it had nothing to say."""

    total_B: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Rewards:
    """The terms; a term that has nothing to say of an answer adds nothing to its sum."""

    terms: list[Term]
    setting: str = "ppo.rewards"

    def __call__(self, prompts: list[Prompt], answers: list[str]) -> Scores:
        """Scores of answers. Raises BadData for one of which no term says anything, Diverged for a broken model."""
        found = {term.name: term.score(prompts, answers) for term in self.terms}
        silent_B = torch.stack([score_B.isnan() for score_B in found.values()]).all(0)
        if silent_B.any():
            first = prompts[int(silent_B.nonzero()[0, 0])].text[:60]
            raise BadData(
                f"no term of {self.setting} says anything of an answer to {first!r}; add one that always does"
            )
        total_B = torch.zeros(len(answers))
        for term in self.terms:
            total_B = total_B + term.weight * found[term.name].nan_to_num(nan=0.0)
        return Scores(total_B, found)


def model_term(score: Score, weight: float = 1.0, name: str = "model") -> Term:
    """A reward model as a term."""

    def run(prompts: list[Prompt], answers: list[str]) -> Tensor:
        return finite(score([prompt.turns for prompt in prompts], answers), [prompt.text for prompt in prompts])

    return Term(name, weight, run)


def function_term(function: RewardFunction, weight: float = 1.0, name: str = "") -> Term:
    """A Python function as a term. What it returns is checked: length, numbers, no NaN and no infinity."""
    name = name or getattr(function, "__name__", type(function).__name__)

    def run(prompts: list[Prompt], answers: list[str]) -> Tensor:
        if not prompts:
            return torch.zeros(0)
        values = _call(function, prompts, answers)
        if not isinstance(values, (list, tuple)) or len(values) != len(answers):
            raise BadData(f"reward function {name} gave {_shown(values)} for {len(answers)} answers; one number each")
        score_B = torch.tensor([torch.nan if value is None else float(value) for value in values])
        bad = [value for value in values if value is not None and not torch.isfinite(torch.tensor(float(value)))]
        if bad:
            raise BadData(f"reward function {name} gave {bad[0]}; give None where it has nothing to say")
        return score_B

    return Term(name, weight, run)


def _call(function: RewardFunction, prompts: list[Prompt], answers: list[str]) -> Any:
    spoken = prompts[0].messages is not None
    completions = [[{"role": "assistant", "content": answer}] for answer in answers] if spoken else answers
    keys = dict.fromkeys(key for prompt in prompts for key in prompt.columns)
    columns = {key: [prompt.columns.get(key) for prompt in prompts] for key in keys}
    asked = [prompt.messages if spoken else prompt.text for prompt in prompts]
    return function(prompts=asked, completions=completions, **columns)


def _shown(values: Any) -> str:
    return f"{len(values)} values" if isinstance(values, (list, tuple)) else type(values).__name__


def build_rewards(parts: Sequence[RewardPart], model: Score | None, setting: str = "ppo.rewards") -> Rewards:
    """The terms that the setting names. Raises BadConfig for a function that cannot be had."""
    terms = []
    for number, part in enumerate(parts):
        if part.function is not None:
            function = import_function(part.function, f"{setting}.{number}.function")
            terms.append(function_term(function, part.weight))
        elif model is not None:
            terms.append(model_term(model, part.weight))
    doubled = {term.name for term in terms if sum(other.name == term.name for other in terms) > 1}
    if doubled:
        raise BadConfig(f"{setting} has {sorted(doubled)[0]} twice: give it once, with the sum of the weights")
    return Rewards(terms, setting)


def import_function(path: str, setting: str) -> RewardFunction:
    """``package.module:function``. Raises BadConfig that names the setting and what is missing."""
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BadConfig(
            f"{setting}={path!r}: module {module_name!r} cannot be imported ({error}); install its package, or put its "
            "folder on PYTHONPATH"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        found = [one for one, _ in inspect.getmembers(module, inspect.isfunction) if not one.startswith("_")]
        known = ", ".join(found[:8]) or "none"
        raise BadConfig(f"{setting}={path!r}: {module_name} has no function {name!r}; its functions: {known}")
    return function
