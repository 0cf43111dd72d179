"""The likeliest tokens alone: top-k and nucleus (top-p) sampling."""

import math

import torch
from torch import Tensor


def cut(logit_BV: Tensor, temperature: float, top_p: float, top_k: int) -> Tensor:
    """Logits with −∞ for the tokens that may not be drawn; the same tensor where nothing is cut.

    top_k: so many likeliest tokens stay (Fan et al. 2018, arXiv 1805.04833); 0 keeps all. top_p: of these, the fewest
    likeliest whose probabilities at ``temperature`` reach top_p (Holtzman et al. 2020, arXiv 1904.09751, section 3.1);
    1 keeps all. The likeliest one always stays. Tokens as likely as the last one that stays do so too.
    """
    if temperature == 0 or (top_p >= 1 and not 0 < top_k < logit_BV.shape[-1]):
        return logit_BV
    if 0 < top_k < logit_BV.shape[-1]:
        least_B1 = logit_BV.topk(top_k, dim=-1).values[:, -1:]
        logit_BV = logit_BV.masked_fill(logit_BV < least_B1, -math.inf)
    if top_p < 1:
        sorted_BV = logit_BV.sort(dim=-1, descending=True).values
        p_BV = torch.softmax(sorted_BV.double() / temperature, dim=-1)
        stays_BV = p_BV.cumsum(-1) - p_BV < top_p
        least_B1 = sorted_BV.masked_fill(~stays_BV, math.inf).min(dim=-1, keepdim=True).values
        logit_BV = logit_BV.masked_fill(logit_BV < least_B1, -math.inf)
    return logit_BV
