"""Scores of the reward model: text in, one number out."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tasks.chat import load_tokenizer
from tasks.failures import BadData, Diverged
from tasks.scoring import encode_answer, load_reward, reward_scores

Messages = list[dict[str, str]]
Score = Callable[[list[Messages], list[str]], Tensor]
"""Raw score_B (float32, on the CPU) of conversations with their answers."""


class RewardModel:
    """A frozen reward model with its own tokenizer and chat template.

    The answer's text is tokenised anew: the reward model may come from another family than the policy, and must
    see what it saw in its own training.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self.model = load_reward(folder).to(device).eval().requires_grad_(False)  # type: ignore[arg-type]
        self.tokenizer = load_tokenizer(folder)
        if self.tokenizer.pad_token_id is None:
            raise BadData("the reward model's tokenizer has no pad token; make it with the reward stage")
        self.limit: int | None = getattr(self.model.config, "max_position_embeddings", None)

    def __call__(self, prompts: list[Messages], answers: list[str]) -> Tensor:
        """Scores of whole conversations, each cut at the left where it exceeds the model's positions."""
        if not prompts:
            return torch.zeros(0)
        rows = []
        for prompt, answer in zip(prompts, answers, strict=True):
            rows.append(encode_answer(self.tokenizer, prompt, answer, self.limit))
        return reward_scores(self.model, rows, self.tokenizer.pad_token_id).float().cpu()


def finite(score_B: Tensor, prompts: list[str]) -> Tensor:
    """The scores, or Diverged with the first prompt whose score is not a number."""
    bad = (~torch.isfinite(score_B)).nonzero().flatten().tolist()
    if bad:
        raise Diverged(
            f"the reward model gave {float(score_B[bad[0]])} to an answer to {prompts[bad[0]][:60]!r}: it is broken; "
            "train it again with a lower reward.optimizer.learning_rate"
        )
    return score_B
