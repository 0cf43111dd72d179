"""Several end tokens, an untruncated sampler, and old log-probabilities from the pass that is trained."""

import pytest
import torch
from ppo_parts import Parts, tiny_llama
from torch import nn

from tasks.models import load_chat_model
from tasks.ppo.iteration import Roles, roll_out
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.rollout import read_all
from tasks.prompt_sets import load_prompts
from tasks.reward_model import RewardModel
from tasks.rewards import build_rewards
from tasks.sampling import generate


class Always(nn.Module):
    """A causal model that says a given token at each position, whatever it reads."""

    def __init__(self, model: nn.Module, script: list[int]) -> None:
        super().__init__()
        self.model, self.script, self.calls = model, script, 0
        self.config, self.device = model.config, torch.device("cpu")

    def forward(self, **named: object) -> object:
        found = self.model(**named)
        found.logits[:, -1] = torch.nn.functional.one_hot(torch.tensor(self.script[self.calls]), 40) * 99.0
        self.calls += 1
        return found


@pytest.mark.parametrize("end", [1, 3])
def test_each_of_several_end_tokens_ends_an_answer(end: int) -> None:
    model = Always(tiny_llama(40), [7, 8, end, 9, 9, 9])
    answers = generate(model, [[5, 6], [5]], max_new_tokens=6, temperature=0.0, end_ids=[1, 3], pad_id=0)
    assert answers == [[7, 8, end], [7, 8, end]], "the end token is kept, and nothing follows it"


def test_without_end_ids_an_answer_has_full_length() -> None:
    model = Always(tiny_llama(40), [1, 1, 3, 1])
    assert generate(model, [[5]], max_new_tokens=4, temperature=0.0, end_ids=[], pad_id=0) == [[1, 1, 3, 1]]


def test_the_sampler_cuts_no_tail() -> None:
    """A token of probability .004 would never come under top-p .9 or top-k; here it comes as often as it should."""
    model = tiny_llama(40)
    with torch.no_grad():
        probability_V = model(torch.tensor([[5, 6]])).logits[0, -1].softmax(-1)
    tail = probability_V.sort().indices[:8]
    mass = float(probability_V[tail].sum())
    draws = 6000
    rng = torch.Generator().manual_seed(0)
    found = generate(
        model, [[5, 6]] * draws, max_new_tokens=1, temperature=1.0, end_ids=[], pad_id=0, generator=rng, batch=2000
    )
    share = sum(answer[0] in tail.tolist() for answer in found) / draws
    assert share > 0
    assert share == pytest.approx(mass, abs=5 * (mass / draws) ** 0.5)


def test_old_log_probabilities_come_from_the_training_pass(parts: Parts, processes: Processes) -> None:
    config = parts.config()
    model = load_chat_model(parts.inputs.folders["base"], parts.inputs.folders["finetuned"])
    prompts = load_prompts(config, parts.inputs, parts.tokenizer, None)
    rewards = build_rewards(config.rewards, RewardModel(parts.inputs.folders["reward"]))
    roles = Roles(config, processes, parts.tokenizer, prompts.train, rewards)
    learner = Learner.create(config, model, processes.device)
    with torch.no_grad():  # an adapter that does something, and a sampler that has not heard of it
        for parameter in learner.policy.parameters().values():
            parameter.add_(0.05)
    rollout = roll_out(roles, learner)
    trained = read_all(learner.policy.adapted, rollout.answers, config.temperature, config.minibatch)
    sampler = read_all(learner.policy.merged, rollout.answers, config.temperature, config.minibatch)
    assert torch.equal(rollout.logp_BT, trained.logp_BT)
    assert float((rollout.logp_BT - sampler.logp_BT).abs().max()) > 1e-3
