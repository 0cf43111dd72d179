"""The reward model as a network: a trunk, its heads, and how a conversation's score is read from them.

Shapes: B conversations, T tokens, D width of the trunk, M members (heads, or models of an ensemble).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.failures import BadData
from tasks.forward.last import last_states

FORMAT = 1  # of what a reward model's folder says about itself
# An answer of some dozens of words has one wrong animal: without a factor the mean over its tokens hides it
MATCH_SCALE = 8.0
Readout = Literal["last", "mean", "match"]


@dataclass(frozen=True)
class Reading:
    """How scores are read, and what they are shifted and scaled by; part of a reward model's folder.

    mean and std: one a member, taken on ``count`` reference answers; a score is (raw - mean) / std.
    max_length: tokens that a conversation was cut to in training, None when unknown.
    base and finetuned: digests of the artifacts that an adapter belongs to, empty for whole models.
    Made elsewhere: read at the last token, as it comes.
    """

    readout: Readout = "last"
    match_scale: float = MATCH_SCALE
    normalise: str = "none"
    reference: str = ""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    count: int = 0
    max_length: int | None = None
    base: str = ""
    finetuned: str = ""

    @property
    def members(self) -> int:
        return len(self.mean)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT, **asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def of(cls, values: dict[str, Any], where: str) -> "Reading":
        """From what a folder says. Raises BadData when it is of another format or incomplete."""
        rest = dict(values)
        if rest.pop("format", None) != FORMAT:
            raise BadData(
                f"{where}: format {values.get('format')} of a reward model, this version reads {FORMAT}: "
                "run the reward stage again"
            )
        try:
            return cls(**{**rest, "mean": tuple(rest["mean"]), "std": tuple(rest["std"])})
        except (TypeError, KeyError) as error:
            raise BadData(f"{where}: not what the reward stage writes ({error}): run it again") from error


class RewardNetwork(nn.Module):
    """Heads on a trunk: ``score`` [M, D] and, with readout "match", ``match`` [1, D]."""

    def __init__(self, trunk: PreTrainedModel, score: nn.Linear, match: nn.Linear | None, reading: Reading) -> None:
        super().__init__()
        self.trunk, self.score, self.match, self.reading = trunk, score, match, reading

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def max_length(self) -> int | None:
        """Longest conversation, in tokens: as in training, and within the positions that the trunk has."""
        known = (self.reading.max_length, getattr(self.trunk.config, "max_position_embeddings", None))
        return min((limit for limit in known if limit), default=None)

    def set_constants(self, reading: Reading) -> None:
        """Take over what scores are shifted and scaled by."""
        self.reading = reading

    @property
    def readings(self) -> list[Reading]:
        """One a folder of the model."""
        return [self.reading]

    def forward(self, ids_BT: Tensor, start_B: Tensor, length_B: Tensor) -> Tensor:
        """Raw scores [B, M], float32, with gradients.

        "last": the head's value v·h at the last real token (InstructGPT). "mean": the mean of v·h over the answer's
        tokens, so that a fault is credited where it stands. "match": the mean of v·h_t + w·(h_{t-1} * e(x_t)), where
        h_{t-1} is the state that expected token t and e(x_t) the embedding of the one that came. A fine-tuned model
        expects what was asked for, so relevance is there from the first step, and the rankings decide what it is worth.
        Right padding and causal attention: no real token sees a pad, so no attention mask is needed. Positions are
        those of the lengths and never of some token id.
        """
        if self.reading.readout == "last":
            return cast(Tensor, self.score(last_states(self.trunk, ids_BT, length_B)).float())
        hidden_BTD = self.trunk(input_ids=ids_BT, use_cache=False).last_hidden_state
        value_BTM = self.score(hidden_BTD).float()
        if self.match is not None:
            came_BTD = self.trunk.get_input_embeddings()(ids_BT)[:, 1:]
            match_BT = self.match(hidden_BTD[:, :-1] * came_BTD)[..., 0].float()
            value_BTM = self.reading.match_scale * (value_BTM + nn.functional.pad(match_BT, (1, 0))[..., None])
        position_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        answer_BT = (position_T >= start_B[:, None]) & (position_T < length_B[:, None])
        return (value_BTM * answer_BT[..., None]).sum(1) / answer_BT.sum(1).clamp(min=1)[:, None]


class Ensemble(nn.Module):
    """Several trained models side by side. Adapters of one trunk are taken in turn by ``choose``."""

    def __init__(self, models: Sequence[RewardNetwork], choose: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self._choose = choose

    @property
    def readings(self) -> list[Reading]:
        """One a member."""
        return [cast(RewardNetwork, model).reading for model in self.models]

    @property
    def reading(self) -> Reading:
        """The members' constants together."""
        found = self.readings
        means, stds = (tuple(value for one in found for value in getattr(one, name)) for name in ("mean", "std"))
        return replace(found[0], mean=means, std=stds)

    def set_constants(self, reading: Reading) -> None:
        """Give each member its own part of what scores are shifted and scaled by."""
        for model, mean, std in zip(self.models, reading.mean, reading.std, strict=True):
            cast(RewardNetwork, model).set_constants(replace(reading, mean=(mean,), std=(std,)))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def max_length(self) -> int | None:
        return cast(RewardNetwork, self.models[0]).max_length

    def forward(self, ids_BT: Tensor, start_B: Tensor, length_B: Tensor) -> Tensor:
        """Raw scores [B, M] of all members."""
        found = []
        for number, model in enumerate(self.models):
            if self._choose is not None:
                self._choose(number)
            found.append(model(ids_BT, start_B, length_B))
        return torch.cat(found, 1)


AnyReward = RewardNetwork | Ensemble


def trunk_of(model: nn.Module) -> PreTrainedModel:
    """The transformer below a model's head."""
    return cast(PreTrainedModel, model.base_model)


def score_of(classifier: nn.Module) -> nn.Linear:
    """The head of a sequence classifier."""
    return cast(nn.Linear, classifier.score)


def score_head(width: int, members: int) -> nn.Linear:
    """A head from state to score. One starts at zero: all scores are equal and the first pair loss is ln 2. Several
    start at random with a deviation of 1/√(D+1) (Stiennon et al. 2020), or they would stay the same.
    """
    head = nn.Linear(width, members, bias=False)
    if members == 1:
        nn.init.zeros_(head.weight)
    else:
        nn.init.normal_(head.weight, std=(width + 1) ** -0.5)
    return head


def match_head(width: int, tied: bool) -> nn.Linear:
    """It starts at one, where with tied embeddings the match is the language model's own logit of the token that
    came; without tied embeddings it starts at zero.
    """
    match = nn.Linear(width, 1, bias=False)
    nn.init.constant_(match.weight, 1.0 if tied else 0.0)
    return match
