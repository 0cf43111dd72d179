"""How far one model has moved from another, on answers that it samples itself."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from tasks.models import pad_batch

ROWS = 16  # conversations a forward pass: two sets of logits over the vocabulary are held


def kl_of_answer(logits_TV: Tensor, other_TV: Tensor) -> Tensor:
    """Sum over the T answer tokens of KL(p || q) of the next-token distributions, a scalar in nats.

    Over answers sampled from p its mean is KL(p || q) of whole answers, by the chain rule. Each term is exact
    over the vocabulary, so the variance is smaller than that of log p - log q of the sampled tokens.
    """
    logp_TV, logq_TV = log_softmax(logits_TV.float(), -1), log_softmax(other_TV.float(), -1)
    return (logp_TV.exp() * (logp_TV - logq_TV)).sum()


@torch.inference_mode()
def answer_kl(
    model: PreTrainedModel,
    other: PreTrainedModel,
    prompts: list[list[int]],
    answers: list[list[int]],
    pad_id: int,
) -> float:
    """Mean KL(model || other) an answer, in nats; ``answers`` are sampled from ``model`` at temperature 1.

    logits[t-1] is the distribution that token t is drawn from. An empty answer counts 0.
    """
    found = []
    for start in range(0, len(prompts), ROWS):
        asked, said = prompts[start : start + ROWS], answers[start : start + ROWS]
        ids_BT, mask_BT = pad_batch([p + a for p, a in zip(asked, said, strict=True)], pad_id)
        ids_BT, mask_BT = ids_BT.to(model.device), mask_BT.to(model.device)
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits
        other_BTV = other(input_ids=ids_BT, attention_mask=mask_BT).logits
        for row, (prompt, answer) in enumerate(zip(asked, said, strict=True)):
            part = slice(len(prompt) - 1, len(prompt) - 1 + len(answer))
            found.append(float(kl_of_answer(logits_BTV[row, part], other_BTV[row, part])))
    return sum(found) / len(found)
