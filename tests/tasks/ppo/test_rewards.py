"""Terms of the reward: weights, columns, what functions may return, verifiable answers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_parts import Parts

from configs.schema.ppo_parts import RewardPart
from tasks.failures import BadConfig, BadData
from tasks.live import Live
from tasks.ppo.train import train_ppo
from tasks.ppo.verifiable import exact_answer, last_number, number_match, tagged_format
from tasks.prompt_sets import Prompt
from tasks.rewards import Rewards, Term, build_rewards, function_term, import_function

PROMPTS = [Prompt("one", [1], None, {"answer": "1"}), Prompt("two", [2], None, {"answer": None})]


def test_the_sum_is_weighted_and_a_silent_term_adds_nothing() -> None:
    terms = [
        Term("a", 2.0, lambda p, a: torch.tensor([1.0, 3.0])),
        Term("b", -0.5, lambda p, a: torch.tensor([4.0, torch.nan])),
    ]
    scores = Rewards(terms)(PROMPTS, ["x", "y"])
    assert scores.total_B.tolist() == [0.0, 6.0]
    assert scores.terms["b"][1].isnan()
    with pytest.raises(BadData, match=r"no term of ppo\.rewards says anything of an answer to 'two'"):
        Rewards(terms[1:])(PROMPTS, ["x", "y"])


def test_a_function_gets_prompts_completions_and_columns() -> None:
    seen: dict[str, Any] = {}

    def look(**given: Any) -> list[float | None]:
        seen.update(given)
        return [1.0, None]

    score_B = function_term(look).score(PROMPTS, ["x", "y"])
    assert seen == {"prompts": ["one", "two"], "completions": ["x", "y"], "answer": ["1", None]}
    assert score_B[0] == 1.0
    assert score_B[1].isnan()
    talk = [{"role": "user", "content": "hi"}]
    function_term(lambda **given: seen.update(given) or [0.0]).score([Prompt("hi", [1], talk)], ["x"])
    assert seen["prompts"] == [talk]
    assert seen["completions"] == [[{"role": "assistant", "content": "x"}]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0], "gave 1 values for 2 answers"),
        (None, "gave NoneType"),
        ([1.0, float("nan")], "gave nan"),
        (3.0, "float"),
    ],
)
def test_what_a_function_returns_is_checked(values: Any, said: str) -> None:
    with pytest.raises(BadData, match=said):
        function_term(lambda **given: values, name="f").score(PROMPTS, ["x", "y"])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no.such.module:f", r"ppo\.rewards\.0\.function='no\.such\.module:f': module .* cannot be imported"),
        ("tasks.ppo.verifiable:f", r"has no function 'f'; its functions: exact_answer"),
    ],
)
def test_a_function_that_cannot_be_had_is_refused(path: str, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        import_function(path, "ppo.rewards.0.function")


def test_a_term_that_comes_twice_is_refused(parts: Parts) -> None:
    part = RewardPart(function="tasks.ppo.verifiable:tagged_format")
    with pytest.raises(BadConfig, match="tagged_format twice"):
        build_rewards(parts.config(rewards=[part, part]).rewards, None)


def test_exact_answer() -> None:
    found = exact_answer(prompts=[], completions=[" The  Fox ", "fox", "x"], answer=["the fox", "the fox", None])
    assert found == [1.0, 0.0, None]
    assert exact_answer(prompts=[], completions=["x"]) == [None]
    assert exact_answer(prompts=[], completions=[[{"role": "assistant", "content": "a"}]], answer=["A"]) == [1.0]


def test_number_match() -> None:
    found = number_match(
        prompts=[], completions=["So 3 + 4 = 7.", "it is 1,234.0", "none", "-2"], answer=["7", 1234, "5", "#### 2"]
    )
    assert found == [1.0, 1.0, 0.0, 0.0]
    assert [last_number(text) for text in ("1e3 or 2.5e-1", "a", "-1,000")] == [0.25, None, -1000.0]


def test_tagged_format() -> None:
    good = "<think>a\nb</think>\n<answer>4</answer>"
    assert tagged_format(prompts=[], completions=[good, good + " more", "4"]) == [1.0, 0.0, 0.0]


def test_the_stage_adds_a_function_to_the_model_and_logs_both(parts: Parts, tmp_path: Path) -> None:
    rewards = [RewardPart(model="reward"), RewardPart(function="tasks.ppo.verifiable:tagged_format", weight=0.5)]
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    config = parts.config(rewards=rewards, iterations=1)
    train_ppo(config, parts.inputs, tmp_path / "out", Live(tmp_path / "work"))
    curve = (tmp_path / "out" / "training" / "curve.jsonl").read_text(encoding="utf-8")
    assert '"reward_model"' in curve
    assert '"reward_tagged_format": 0.0' in curve
