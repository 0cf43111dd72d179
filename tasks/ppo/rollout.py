"""Answers of the policy, laid out for a forward pass, and what the models say of each token of them.

Layout of a row: ``pad … prompt | answer … pad``. Every answer starts in the same column, so logits[P-1 : P+T-1]
score the answer's tokens, and the state in which token t is chosen is the one that precedes it.
Shapes: B answers, P tokens of the longest prompt, T of the longest answer, L = P + T, H width of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.forward import llama
from tasks.forward.functions import TokenLogp
from tasks.models import unwrapped
from tasks.ppo.advantages import length_mask

COPIED = 4_000_000  # most logits of which a pass without gradients makes copies at a time


@dataclass(frozen=True)
class Answers:
    """Prompts with their answers. Lengths decide what is real; the pad id may be the end id as well."""

    ids_BL: Tensor
    prompt_length_B: Tensor
    length_B: Tensor
    prompt_width: int

    @property
    def width(self) -> int:
        """T: columns of the answers."""
        return self.ids_BL.shape[1] - self.prompt_width

    @property
    def mask_BT(self) -> Tensor:
        """True on the answers' tokens."""
        return length_mask(self.length_B, self.width)

    @property
    def attention_BL(self) -> Tensor:
        """1 on the tokens of prompt and answer."""
        column_L = torch.arange(self.ids_BL.shape[1], device=self.ids_BL.device)
        first_B = self.prompt_width - self.prompt_length_B
        last_B = self.prompt_width + self.length_B
        return ((column_L >= first_B[:, None]) & (column_L < last_B[:, None])).long()

    def rows(self, index: Sequence[int]) -> "Answers":
        """Some of the rows, without the columns that are padding in all of them."""
        chosen = torch.tensor(list(index), dtype=torch.long, device=self.ids_BL.device)
        prompt_length_B, length_B = self.prompt_length_B[chosen], self.length_B[chosen]
        prompt_width, width = int(prompt_length_B.max()), int(length_B.max())
        first = self.prompt_width - prompt_width
        ids_BL = self.ids_BL[chosen, first : self.prompt_width + width]
        return Answers(ids_BL, prompt_length_B, length_B, prompt_width)


def lay_out(
    prompts: list[list[int]], answers: list[list[int]], pad_id: int, device: torch.device | str = "cpu"
) -> Answers:
    """Left-pad the prompts, right-pad the answers. No rows at all give tensors with no rows."""
    prompt_width = max((len(ids) for ids in prompts), default=0)
    width = max((len(ids) for ids in answers), default=0)
    rows = [
        [pad_id] * (prompt_width - len(prompt)) + prompt + answer + [pad_id] * (width - len(answer))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    ids_BL = torch.tensor(rows, dtype=torch.long, device=device).reshape(len(rows), prompt_width + width)
    lengths = [torch.tensor([len(ids) for ids in part], dtype=torch.long, device=device) for part in (prompts, answers)]
    return Answers(ids_BL, lengths[0], lengths[1], prompt_width)


@dataclass(frozen=True)
class Reading:
    """What one forward pass says of the answers' tokens; 0 on padding."""

    logp_BT: Tensor
    entropy_BT: Tensor | None = None
    feature_BTH: Tensor | None = None  # last hidden state before each token


def read(
    model: nn.Module, answers: Answers, temperature: float, entropy: bool = False, features: bool = False
) -> Reading:
    """Log-probabilities of the answers' tokens under ``softmax(logits / temperature)``, as they were sampled.

    ``features``: without gradients, for a critic that reads them.
    """
    logit_BTV, state_BTH = answer_logits(model, answers, features)
    if temperature != 1:
        logit_BTV = logit_BTV / temperature
    token_BT, mask_BT = answers.ids_BL[:, answers.prompt_width :], answers.mask_BT
    if torch.is_grad_enabled():
        parts = [token_figures(logit_BTV, token_BT, entropy)]
    else:  # several copies of a whole batch of logits would be the peak of PPO's memory
        rows = max(COPIED // max(logit_BTV[:1].numel(), 1), 1)
        pieces = zip(logit_BTV.split(rows), token_BT.split(rows), strict=True)
        parts = [token_figures(logit, token, entropy) for logit, token in pieces]
    zero = torch.zeros((), device=logit_BTV.device)
    logp_BT = torch.where(mask_BT, torch.cat([logp for logp, _ in parts]), zero)
    entropy_BT = torch.where(mask_BT, torch.cat([spread for _, spread in parts]), zero) if entropy else None
    return Reading(logp_BT, entropy_BT, state_BTH if features else None)


def token_figures(logit_BTV: Tensor, token_BT: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
    """logp_BT of the tokens and, with ``entropy``, entropy_BT under softmax(logits), in nats."""
    if not (entropy and torch.is_grad_enabled()):
        logp_BT, spread_BT = TokenLogp.apply(logit_BTV, token_BT, entropy)
        return logp_BT, spread_BT
    norm_BT = logit_BTV.logsumexp(-1)
    logp_BT = logit_BTV.gather(-1, token_BT[..., None]).squeeze(-1) - norm_BT
    expected_BT = ((logit_BTV - norm_BT[..., None]).exp() * logit_BTV).sum(-1)
    return logp_BT, (norm_BT - expected_BT).clamp(min=0)


def answer_logits(model: nn.Module, answers: Answers, features: bool) -> tuple[Tensor, Tensor | None]:
    """logit_BTV, float32, from which each token of the answers was chosen; with ``features`` the states below them.

    Position ids are given: with left padding, a model with learned positions would be nats off without them.
    """
    inner = unwrapped(model)
    if llama.fits(inner):
        state_BTH = llama.states(inner, *_seen(answers))
        return inner.get_output_embeddings()(state_BTH).float(), state_BTH
    attention_BL = answers.attention_BL
    output = model(
        input_ids=answers.ids_BL,
        attention_mask=attention_BL,
        position_ids=(attention_BL.cumsum(1) - 1).clamp(min=0),
        logits_to_keep=answers.width + 1,
        output_hidden_states=features,
        use_cache=False,
    )
    # the last column scores a token after the answer
    logit_BTV = output.logits[:, -(answers.width + 1) : -1].float()
    return logit_BTV, output.hidden_states[-1][:, answers.prompt_width - 1 : -1] if features else None


def hidden_states(model: nn.Module, answers: Answers) -> Tensor:
    """state_BTH: the last hidden state before each token of the answers. The vocabulary's logits are not computed."""
    inner = unwrapped(model)
    if llama.fits(inner):
        return llama.states(inner, *_seen(answers))
    attention_BL = answers.attention_BL
    output = inner.base_model(
        input_ids=answers.ids_BL,
        attention_mask=attention_BL,
        position_ids=(attention_BL.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
    )
    return output.last_hidden_state[:, answers.prompt_width - 1 : -1]


def _seen(answers: Answers) -> tuple[Tensor, slice, Tensor | None]:
    """Ids, columns to read and attention of a pass over the answers; nothing is chosen after the last column.

    Padding at the right lies ahead of all that is read, so a mask is needed at the left alone.
    """
    padded = bool((answers.prompt_length_B < answers.prompt_width).any())
    first = slice(answers.prompt_width - 1, None)
    return answers.ids_BL[:, :-1], first, answers.attention_BL[:, :-1] if padded else None


def chunks(count: int, size: int | None) -> list[range]:
    """range(count) in pieces of ``size``; one piece when there is no size."""
    step = size or max(count, 1)
    return [range(start, min(start + step, count)) for start in range(0, count, step)]


@torch.no_grad()
def read_all(
    model: nn.Module,
    answers: Answers,
    temperature: float,
    size: int | None,
    entropy: bool = False,
    features: bool = False,
) -> Reading:
    """``read`` without gradients, ``size`` rows a forward pass, padded back to the width of all answers."""
    parts = [
        read(model, answers.rows(piece), temperature, entropy, features) for piece in chunks(len(answers.ids_BL), size)
    ]

    def join(tensors: list[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        if not present:
            return None
        rest = [(0, 0) * (t.dim() - 2) + (0, answers.width - t.shape[1]) for t in present]
        return torch.cat([nn.functional.pad(t, pad) for t, pad in zip(present, rest, strict=True)])

    logp_BT = join([part.logp_BT for part in parts])
    if logp_BT is None:  # this process has no prompt
        empty = torch.zeros(0, answers.width, device=answers.ids_BL.device)
        return Reading(empty, empty if entropy else None, empty[..., None] if features else None)
    return Reading(logp_BT, join([part.entropy_BT for part in parts]), join([part.feature_BTH for part in parts]))
