"""Memory, operations and time: monotonic, additive, from measured rates alone."""

import json
import time
from dataclasses import replace
from math import isclose
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planner_parts import SMALL, small_work
from tiny_parts import save_tokenizer, write_jsonl

from configs.schema.sources import PromptSource
from tasks.chat import encode_prompt, load_tokenizer, user
from tasks.planner.calibrate import measure
from tasks.planner.forecast import forecast
from tasks.planner.ppo_flops import Pass, flops
from tasks.planner.ppo_memory import Overhead, memory
from tasks.planner.ppo_time import iteration_seconds, stage_seconds
from tasks.planner.ppo_work import RewardShape, Work
from tasks.planner.profile import Profile, Rate, load_profile, profile_path
from tasks.planner.prompts import prompt_lengths
from tasks.planner.rehearsal import rehearse
from tasks.planner.shape import ModelShape
from tasks.ppo.iteration import iterate

KINDS = ("prefill", "step", "own", "reference", "values", "learn", "fit", "score", "optimise", "refresh")
GROWING = st.sampled_from(["layers", "hidden", "mlp", "vocabulary", "batch", "minibatch", "answer", "rank"])


def profile(**rates: Rate) -> Profile:
    each = {kind: Rate(fixed=1e-3, head=1e-10, launch=1e-4, block=1e-10) for kind in KINDS} | rates
    return Profile(
        rates=each, imports=4e8, first_use=3e7, holes=(1.0, 0.5), host=1e-6, start=7.0, threads=1, rows=4, tokens=18
    )


def grown(name: str, by: int) -> Work:
    """A small work with one of its sizes ``by`` times as large."""
    if name in ("layers", "hidden", "mlp", "vocabulary"):
        shape = replace(SMALL, **{name: getattr(SMALL, name) * by})
        return small_work(replace(shape, head_size=shape.hidden // shape.heads))
    if name == "answer":
        return small_work(answer=8 * by)
    if name == "rank":
        return small_work(lora={"rank": 4 * by})
    return small_work(batch=8 * by, minibatch=4 * by if name == "minibatch" else 4)


@given(GROWING, st.integers(2, 6))
def test_more_work_takes_no_less(name: str, by: int) -> None:
    small, large, measured = small_work(), grown(name, by), profile()
    assert memory(large).peak >= memory(small).peak
    assert sum(flops(large).values()) > sum(flops(small).values())
    assert sum(iteration_seconds(large, measured).values()) >= sum(iteration_seconds(small, measured).values())


@given(st.integers(1, 12), st.integers(1, 12))
def test_what_is_held_and_the_peak_add_up(layers: int, batch: int) -> None:
    found = memory(small_work(replace(SMALL, layers=layers), batch=4 * batch), Overhead(100.0, 10.0, (0.5, 0.25)))
    held, phase = sum(found.held.values()), found.phases[found.phase] + found.holes
    assert isclose(found.peak, 110 + held + max(phase, found.end))
    assert found.peak - 110 >= held + max(found.phases.values())
    update = found.phases["update: policy"]
    assert found.phase != "update: policy" or 0.25 * update <= found.holes <= 0.5 * update


def test_roles_that_share_the_base_cost_less() -> None:
    shared, whole = small_work(), small_work(reward=RewardShape(whole=SMALL))
    assert memory(whole).held["reward model"] > memory(shared).held["reward model"]
    assert memory(shared).held["reference"] == 0.0
    full = memory(small_work(method="full")).held
    assert full["reference"] == full["base weights"] == SMALL.parameters * 4
    lean = memory(small_work(merge_for_sampling=False))
    assert lean.held["merged copy for sampling"] == 0.0 < memory(shared).held["merged copy for sampling"]


def test_a_7b_model_by_hand() -> None:
    """Llama 2 7B: 6.74e9 numbers; LoRA of rank 8 on query and value alone has 4,194,304, as Alpaca-LoRA's."""
    shape = ModelShape("llama", 32, 4096, 32, 32, 128, 11_008, 32_000, 4096, tied=False)
    assert shape.parameters == 6_738_415_616
    assert shape.adapter_parameters(8, ["q_proj", "v_proj"]) == 4_194_304
    held = memory(small_work(shape, lora={"rank": 8, "targets": ["q_proj", "v_proj"]})).held
    assert held["policy: adapter, gradients, moments"] == 16 * 4_194_304


@given(*[st.floats(1e-6, 1.0)] * 4)
def test_rates_come_back_from_exact_times(fixed: float, head: float, launch: float, block: float) -> None:
    rate, found = Rate(fixed=fixed, head=head, launch=launch, block=block), []
    for layers in (1, 3):
        for size in (1.0, 4.0):
            one = Pass("own", SMALL, 10 * size, 5 * size, layers)
            found.append((one, rate.seconds(one)))
    fitted, far = Rate.fit(found), Pass("own", SMALL, 70.0, 35.0, 9)
    assert fitted.seconds(far) == pytest.approx(rate.seconds(far), rel=1e-6)


def test_noise_gives_no_negative_rate() -> None:
    points = [(Pass("own", SMALL, 10.0 * s, 5.0 * s, layers), 0.5 / s / layers) for s in (1, 4) for layers in (1, 3)]
    assert min(Rate.fit(points).model_dump().values()) >= 0.0


def test_without_a_profile_there_is_no_time() -> None:
    found = forecast(small_work(), None)
    assert found["seconds"] is None
    assert found["memory"]["peak"] > found["memory"]["own"] > 0
    assert found["flops"]["total"] == 3 * found["flops"]["iteration"]
    timed = json.loads(json.dumps(forecast(small_work(), profile())))
    assert timed["seconds"]["iteration"] == pytest.approx(sum(timed["seconds"]["phases"].values()))
    assert timed["seconds"]["total"] > 7.0 + 3 * timed["seconds"]["iteration"]


def test_a_profile_is_kept_by_widths_and_not_by_depth(tmp_path: Path) -> None:
    work = small_work()
    path = profile_path(tmp_path, work, 1)
    assert load_profile(path) is None
    path.parent.mkdir()
    path.write_text(profile().model_dump_json(), encoding="utf-8")
    assert load_profile(path) == profile()
    assert profile_path(tmp_path, work.with_layers(9), 1) == path
    assert profile_path(tmp_path, grown("batch", 2), 1) == path
    assert profile_path(tmp_path, grown("hidden", 2), 1) != path
    assert profile_path(tmp_path, work, 2) != path
    path.write_text("{", encoding="utf-8")
    assert load_profile(path) is None


def test_work_goes_to_a_child_and_back() -> None:
    for work in (small_work(), small_work(reward=RewardShape(whole=SMALL)), small_work(reward=RewardShape())):
        assert Work.of(json.loads(json.dumps(work.plain()))) == work


def test_lengths_of_prompts_are_those_of_the_stage(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    texts = [f"say {'ab ' * number}<|im_end|>" for number in range(30)]
    path = write_jsonl(tmp_path / "prompts.jsonl", [{"prompt": text} for text in texts])
    tokenizer = load_tokenizer(tmp_path)
    work = small_work(batch=len(texts), minibatch=len(texts), max_prompt_tokens=500)
    found = prompt_lengths(work.config, [path], [], tmp_path)
    longest = max(len(encode_prompt(tokenizer, user(text))) for text in texts)
    assert found is not None
    assert found.longest == pytest.approx(longest, abs=len("<|im_end|>"))
    assert found.heldout == 3
    few = work.config.model_copy(update={"prompts": PromptSource(path="p", max_prompts=2), "max_prompt_tokens": 1})
    assert prompt_lengths(few, [path], [], tmp_path) is None


def test_measured_time_is_near_the_real_one() -> None:
    """Rates of one and three layers foretell an iteration with five; bounds for a busy machine."""
    shape = ModelShape("llama", 5, 64, 4, 4, 16, 176, 200, 64)
    planned = small_work(shape, reward=RewardShape(), batch=8, minibatch=4)
    found = Profile(
        rates=measure(planned, time.process_time), imports=0, first_use=0, holes=(0, 0), host=0, start=0, threads=1,
        rows=8, tokens=26,
    )  # fmt: skip
    roles, learner = rehearse(planned, 5)
    iterate(roles, learner)
    began = time.process_time()
    iterate(roles, learner)
    took = time.process_time() - began
    assert 0.3 < sum(iteration_seconds(planned, found).values()) / took < 2.5
    assert stage_seconds(planned, found)["iterations"] > 0
