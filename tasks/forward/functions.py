"""Pieces of a pass in few operations, each with a backward pass of its own.

Written out as tensor operations, each of them reads and writes its whole input several times over, forwards and
backwards; on a CPU that is half of the time of a small model. Numbers agree with the plain formulas to rounding.
Shapes: B texts, T tokens, N heads, D width of a head, H of the model, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor


class Norm(torch.autograd.Function):
    """Root mean square norm (Zhang & Sennrich 2019) with a frozen weight: y = w x / sqrt(mean(x²) + eps)."""

    @staticmethod
    def forward(ctx: Any, x_BTH: Tensor, weight_H: Tensor, eps: float) -> Tensor:
        mean_BT1 = torch.linalg.vector_norm(x_BTH, dim=-1, keepdim=True).square_().div_(x_BTH.shape[-1])
        scale_BT1 = mean_BT1.add_(eps).rsqrt_()
        ctx.save_for_backward(x_BTH, weight_H, scale_BT1)
        return (x_BTH * scale_BT1).mul_(weight_H)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        x_BTH, weight_H, scale_BT1 = ctx.saved_tensors
        inner_BTH = grads[0] * weight_H
        along_BT1 = (inner_BTH * x_BTH).sum(-1, keepdim=True)
        along_BT1.mul_(scale_BT1.pow(3)).div_(x_BTH.shape[-1])
        return inner_BTH.mul_(scale_BT1).addcmul_(x_BTH, along_BT1, value=-1), None, None


class Rotate(torch.autograd.Function):
    """Rotary positions (Su et al. 2021, equation 34), in the half-and-half order of transformers.

    x_BTND; cos and sin of each position's angles, [B or 1, T, 1, D/2]. Its gradient is the rotation back.
    """

    @staticmethod
    def forward(ctx: Any, x_BTND: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x_BTND, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, sin, -1), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    turned = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin, value=sign)
    return turned


class TokenLogp(torch.autograd.Function):
    """logp_BT of given tokens under softmax(logit_BTV), and the distribution's entropy_BT, which has no gradient.

    One softmax serves both passes. A token so unlikely that its share of it lost digits, below 1e-30, which nobody
    sampled, gets its log-probability from the logits.
    """

    @staticmethod
    def forward(ctx: Any, logit_BTV: Tensor, token_BT: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
        share_BTV, token_BT1 = torch.softmax(logit_BTV, dim=-1), token_BT[..., None]
        chosen_BT1, own_BT1 = share_BTV.gather(-1, token_BT1), logit_BTV.gather(-1, token_BT1)
        logp_BT1 = chosen_BT1.log()
        if bool((chosen_BT1 < 1e-30).any()):
            logp_BT1 = own_BT1 - logit_BTV.logsumexp(-1, keepdim=True)
        spread_BT1 = torch.zeros_like(logp_BT1)
        if entropy:
            spread_BT1 = (own_BT1 - logp_BT1 - (share_BTV * logit_BTV).sum(-1, keepdim=True)).clamp_(min=0)
        ctx.save_for_backward(share_BTV, token_BT1)
        logp_BT, spread_BT = logp_BT1[..., 0], spread_BT1[..., 0]
        ctx.mark_non_differentiable(spread_BT)
        return logp_BT, spread_BT

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        share_BTV, token_BT1 = ctx.saved_tensors
        grad_BT1 = grads[0][..., None]
        return (share_BTV * -grad_BT1).scatter_add_(-1, token_BT1, grad_BT1), None, None
