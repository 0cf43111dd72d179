"""Order, repeats and groups of prompts."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ppo_parts import Parts, letter_tokenizer, tiny_llama

from configs.schema.ppo import PPOConfig
from configs.schema.rollout import CurriculumConfig
from tasks.failures import BadData
from tasks.ppo.curriculum import draw_prompts, used_up
from tasks.ppo.iteration import Roles
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.trainer import Training
from tasks.prompt_sets import Prompt
from tasks.randomness import draw
from tasks.rewards import Rewards, function_term

PROMPTS = [
    Prompt("c", [1] * 3, None, {"level": 2}),
    Prompt("a", [1], None, {"level": 3.5}),
    Prompt("b", [1] * 2, None, {"level": 1}),
    Prompt("d", [1] * 2, None, {"level": 1}),
]


def _config(batch: int = 4, **changes: object) -> PPOConfig:
    return PPOConfig.of(batch=batch, minibatch=2, curriculum=CurriculumConfig(**changes))


def _texts(config: PPOConfig, cursor: int = 0) -> str:
    return "".join(PROMPTS[number].text for number in draw_prompts(config, PROMPTS, cursor))


def test_orders_hand_worked() -> None:
    assert _texts(_config(order="given")) == "cabd"
    assert _texts(_config(order="short")) == "abdc"
    assert _texts(_config(order="column", column="level")) == "bdca"
    assert _texts(_config(batch=6, order="short"), cursor=6) == "dcabdc"
    assert _texts(_config(batch=6, order="given", answers=3)) == "cccaaa"
    assert _texts(_config(batch=6, order="given", answers=3), cursor=6) == "bbbddd"


def test_the_default_is_the_shuffled_stream_of_before() -> None:
    config = _config(batch=3)
    assert draw_prompts(config, PROMPTS, 7) == draw(4, 7, 3, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(["shuffle", "given", "short"]),
    group=st.integers(1, 3),
    prompts=st.integers(1, 6),
    repeats=st.integers(1, 3),
)
def test_no_prompt_is_asked_more_often_than_allowed(order: str, group: int, prompts: int, repeats: int) -> None:
    config = _config(batch=2 * group, order=order, answers=group, repeats=repeats)
    asked: Counter[int] = Counter()
    cursor = 0
    while not used_up(config, prompts, cursor):
        asked.update(draw_prompts(config, [Prompt(str(n), [1] * (n + 1)) for n in range(prompts)], cursor))
        cursor += config.batch
    assert max(asked.values(), default=0) <= repeats * group
    assert sum(asked.values()) > (repeats * prompts - 2) * group


def test_a_run_ends_when_its_prompts_are_used_up(parts: Parts, processes: Processes) -> None:
    config = parts.config(batch=4, minibatch=2, iterations=9, curriculum={"repeats": 2, "answers": 2})
    rewards = Rewards([function_term(lambda prompts, completions: [0.0] * len(completions), name="none")])
    prompts = [Prompt(letter, [2, 4 + number]) for number, letter in enumerate("abcd")]
    roles = Roles(config, processes, letter_tokenizer(), prompts, rewards)
    learner = Learner.create(config, tiny_llama(16).requires_grad_(False))
    Training(roles, learner, None, lambda row, pace: None).run()
    assert learner.iteration == 4  # 4 prompts, twice, 2 in a batch
    assert "ppo.curriculum.repeats=2" in learner.stopped


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ppo\.batch=4 is no multiple of ppo\.curriculum\.answers=3"):
        _config(answers=3)
    with pytest.raises(ValueError, match=r"ppo\.curriculum\.column=None"):
        _config(order="column")
    with pytest.raises(BadData, match=r"ppo\.curriculum\.column=depth is None"):
        _texts(_config(order="column", column="depth"))
