"""The KL penalty and the reward of each token."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.ppo.advantages import length_mask


def kl_tokens(logp_BT: Tensor, reference_BT: Tensor, estimator: str) -> Tensor:
    """KL(policy || reference) estimated at sampled tokens, in nats (Schulman 2020, "Approximating KL divergence").

    k1 = log p/q: unbiased, may be negative. k2 = (log p/q)^2 / 2: low variance, biased. k3 = q/p - 1 - log q/p:
    unbiased and never negative.
    """
    ratio_BT = logp_BT - reference_BT
    match estimator:
        case "k1":
            return ratio_BT
        case "k2":
            return ratio_BT.square() / 2
        case "k3":
            return torch.expm1(-ratio_BT) + ratio_BT
    raise ValueError(f"KL estimator {estimator!r} is not one of k1, k2, k3")


def token_rewards(
    kl_BT: Tensor, score_B: Tensor, length_B: Tensor, ended_B: Tensor, beta: float, missing_eos_penalty: float
) -> Tensor:
    """reward_BT: -beta * kl on every real token, plus the score on the last one (Ziegler et al. 2019, section 2.2).

    The last token is the end token itself, or, in an answer that was cut off, its last token, where the
    score is lowered by ``missing_eos_penalty``. An empty answer gets nothing, and padding is 0.
    """
    mask_BT = length_mask(length_B, kl_BT.shape[1])
    last_BT = mask_BT & ~length_mask(length_B - 1, kl_BT.shape[1])
    final_B = score_B - missing_eos_penalty * (~ended_B).to(score_B.dtype)
    zero = torch.zeros((), dtype=kl_BT.dtype, device=kl_BT.device)
    return torch.where(mask_BT, -beta * kl_BT, zero) + torch.where(last_BT, final_B[:, None], zero)


@dataclass
class KlController:
    """Moves beta towards a target KL, or holds it when there is no target (Ziegler et al. 2019, section 2.2)."""

    beta: float
    target: float | None
    horizon: int

    def update(self, kl: float, samples: int) -> None:
        """``kl``: measured nats an answer over ``samples`` answers. The proportional error is clipped to ±0.2."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.beta *= 1 + error * samples / self.horizon


@dataclass
class RewardScale:
    """Mean and deviation of the start model's scores on its first rollout: how raw rewards are normalised."""

    mean: float = 0.0
    deviation: float = 1.0

    def apply(self, score_B: Tensor, clip: float | None) -> tuple[Tensor, Tensor]:
        """Normalised and clipped score_B, and clipped_B, True where the clip changed something."""
        scaled_B = (score_B - self.mean) / self.deviation
        if clip is None:
            return scaled_B, torch.zeros_like(scaled_B, dtype=torch.bool)
        return scaled_B.clamp(-clip, clip), scaled_B.abs() > clip
