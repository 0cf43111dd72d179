"""Which prompts an iteration answers: a function of settings and cursor alone, so a resumed run asks the same."""

from configs.schema.ppo import PPOConfig
from tasks.failures import BadData
from tasks.prompt_sets import Prompt
from tasks.randomness import draw


def draw_prompts(config: PPOConfig, prompts: list[Prompt], cursor: int) -> list[int]:
    """Positions of ``config.batch`` prompts; each stands ``config.curriculum.answers`` times, next to itself.

    ``cursor``: answers given so far. The stream goes through all prompts before one comes again.
    """
    assert config.seed is not None
    group = config.curriculum.answers
    first, size = cursor // group, config.batch // group
    if config.curriculum.order == "shuffle":
        chosen = draw(len(prompts), first, size, config.seed)
    else:
        order = fixed_order(config, prompts)
        chosen = [order[position % len(order)] for position in range(first, first + size)]
    return [number for number in chosen for _ in range(group)]


def fixed_order(config: PPOConfig, prompts: list[Prompt]) -> list[int]:
    """Positions of the prompts as given, shortest first or easiest first; what is equal stays as given.

    Raises BadData for a row without a number in the column of difficulty.
    """
    match config.curriculum.order:
        case "short":
            return sorted(range(len(prompts)), key=lambda number: len(prompts[number].ids))
        case "column":
            values = [_difficulty(prompt, str(config.curriculum.column)) for prompt in prompts]
            return sorted(range(len(prompts)), key=lambda number: values[number])
    return list(range(len(prompts)))


def used_up(config: PPOConfig, prompts: int, cursor: int) -> str:
    """Why no further iteration can be had without asking a prompt too often; "" while one can."""
    repeats, group = config.curriculum.repeats, config.curriculum.answers
    if repeats is None or cursor + config.batch <= repeats * prompts * group:
        return ""
    return (
        f"{prompts} prompts were answered ppo.curriculum.repeats={repeats} times, as far as whole batches of "
        f"{config.batch} go; raise it or name more prompts"
    )


def _difficulty(prompt: Prompt, column: str) -> float:
    value = prompt.columns.get(column)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadData(f"prompt {prompt.text[:60]!r}: ppo.curriculum.column={column} is {value!r}, expected a number")
    return float(value)
