"""The passes of PPO on a thin model, one by one, for the planner to time."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from configs.schema.training import LoraSettings
from tasks.forward.last import last_states
from tasks.planner.ppo_flops import Pass, one_pass
from tasks.planner.ppo_work import Work
from tasks.planner.rehearsal import random_model, rehearse
from tasks.ppo.advantages import length_mask
from tasks.ppo.losses import policy_loss, value_loss
from tasks.ppo.rollout import Answers, read, read_all
from tasks.sampling import generate

STEPS = 16  # of sampling; more only make the same mean
Run = Callable[[], object]


class Bench:
    """``work``: with the few layers that are measured, of the reward model too."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.roles, self.learner = rehearse(work, work.shape.layers)
        self.policy, self.critic = self.learner.policy, self.learner.critic
        self.reward = None
        if work.reward.whole is not None:
            whole = work.reward.whole
            self.reward = random_model(whole, whole.layers, work.lengths.row).base_model

    def runs(self) -> Iterator[tuple[Pass, Run]]:
        """Each pass with few rows and with as many as it has in the run, and what to call for it."""
        work = self.work
        for part in (4, 1):
            for kind, rows in (("prefill", work.sampled), ("step", work.sampled)):
                few, tokens = max(rows // part, 1), 1 if kind == "prefill" else STEPS + 1
                yield self._pass(kind, few, STEPS), partial(self._sample, few, tokens)
            for kind in ("own", "reference", "values"):
                few = max(work.read_rows // part, 1)
                yield self._pass(kind, few), self._reading(kind, few)
            for kind in ("learn", "fit"):
                few = max(work.learn_rows // part, 1)
                yield self._pass(kind, few), self._learning(kind, few)
            if not work.reward.none:
                few = max(work.scored_rows // part, 1)
                yield self._pass("score", few), partial(self._score, few)
        yield self._pass("optimise", 1), self._optimise
        if work.merged_parameters:
            yield self._pass("refresh", 1), self.policy.refresh

    def _pass(self, kind: str, rows: int, answer: int = 0) -> Pass:
        work = self.work
        lora: LoraSettings | None = None
        if kind in ("own", "learn") or (kind in ("prefill", "step") and not work.merged_parameters):
            lora = work.learned
        elif kind in ("values", "fit"):
            lora = work.critic_lora
        elif kind == "score" and work.reward.rank:
            lora = LoraSettings(rank=work.reward.rank, targets=work.reward.targets)
        return one_pass(work, kind, rows, lora, answer)

    def _answers(self, rows: int) -> Answers:
        lengths, generator = self.work.lengths, torch.Generator().manual_seed(0)
        ids_BL = torch.randint(0, self.work.shape.vocabulary, (rows, lengths.row), generator=generator)
        prompt_B, answer_B = (torch.full((rows,), count) for count in (lengths.prompt, lengths.answer))
        return Answers(ids_BL, prompt_B, answer_B, lengths.prompt)

    def _sample(self, rows: int, tokens: int) -> object:
        lengths = self.work.lengths
        prompts = self._answers(rows).ids_BL[:, : lengths.prompt].tolist()
        return generate(
            self.policy.merged,  # type: ignore[arg-type]
            prompts,
            max_new_tokens=tokens,
            temperature=self.work.config.temperature,
            end_ids=[],
            pad_id=0,
            generator=torch.Generator().manual_seed(0),
            batch=rows,
        )

    def _reading(self, kind: str, rows: int) -> Run:
        answers, temperature = self._answers(rows), self.work.config.temperature
        feature_BTH = self._features(rows)

        def own() -> object:
            return read_all(self.policy.adapted, answers, temperature, rows, entropy=True)

        def reference() -> object:
            with self.policy.reference() as model:
                return read_all(model, answers, temperature, rows, features=self.critic.needs_features)

        @torch.no_grad()
        def values() -> object:
            return self.critic.values(answers, feature_BTH)

        return {"own": own, "reference": reference, "values": values}[kind]

    def _learning(self, kind: str, rows: int) -> Run:
        answers, config = self._answers(rows), self.work.config
        feature_BTH, mask_BT = self._features(rows), length_mask(answers.length_B, answers.width)
        zero_BT = torch.zeros(mask_BT.shape)

        def learn() -> None:
            entropy = config.entropy_coefficient > 0
            found = read(self.policy.adapted, answers, config.temperature, entropy=entropy)
            before_BT = found.logp_BT.detach()
            policy_loss(found.logp_BT, before_BT, before_BT, mask_BT, config.clip).loss.backward()

        def fit() -> None:
            value_BT = self.critic.values(answers, feature_BTH)
            value_loss(value_BT, zero_BT, zero_BT + 1, mask_BT, config.value_clip).loss.backward()

        return {"learn": learn, "fit": fit}[kind]

    def _features(self, rows: int) -> torch.Tensor | None:
        if not self.critic.needs_features:
            return None
        return torch.randn(rows, self.work.lengths.answer, self.work.shape.hidden)

    @torch.no_grad()
    def _score(self, rows: int) -> object:
        """A pass of the reward model's layers: through the policy's adapter when it is one."""
        trunk = self.policy.trunk.start.base_model if self.reward is None else self.reward
        ids_BL = self._answers(rows).ids_BL
        if self.work.reward.last:
            return last_states(trunk, ids_BL, torch.full((rows,), self.work.lengths.row))
        return trunk(input_ids=ids_BL, use_cache=False)

    def _optimise(self) -> None:
        """One step of both optimisers with gradients clipped, as after a minibatch."""
        for params in (list(self.policy.parameters().values()), list(self.critic.trained().values())):
            for param in params:
                param.grad = torch.full_like(param, 1e-3) if param.grad is None else param.grad
            nn.utils.clip_grad_norm_(params, self.work.config.clip_gradient)
        self.learner.policy_optimizer.step()
        self.learner.critic_optimizer.step()
