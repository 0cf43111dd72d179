"""Scores of the reward model: text in, one number out."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.artifacts.digest import digest_of
from tasks.chat import load_tokenizer
from tasks.failures import BadData, Diverged
from tasks.models import expect_files
from tasks.reward_network import AnyReward, Ensemble, RewardNetwork
from tasks.scoring import ABOUT, Conversation, encode_answer, load_reward, member_folder, read_heads, reward_scores
from tasks.trunk import Trunk

Messages = list[dict[str, str]]
Score = Callable[[list[Messages], list[str]], Tensor]
"""Raw score_B (float32, on the CPU) of conversations with their answers."""
REWARD = "reward"  # name of the reward adapter on the trunk; members of an ensemble get a number


class RewardModel:
    """A frozen reward model with its own tokenizer and chat template.

    The answer's text is tokenised anew: the reward model may come from another family than the policy, and must
    see what it saw in its own training. One that is an adapter of the fine-tuned model is put on the policy's
    ``trunk``: no weight of the base is in memory twice.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device | str = "cpu",
        base: Path | None = None,
        finetuned: Path | None = None,
        trunk: Trunk | None = None,
    ) -> None:
        """``base`` and ``finetuned``: what an adapter belongs to; ``trunk``: these two, merged, in the policy."""
        members = _adapter_folders(folder)
        self.trunk: Trunk | None = None  # the policy's, when the reward model is on it
        self.around: Callable[[], AbstractContextManager[object]] = nullcontext
        self.adapters: list[str] = []
        if trunk is not None and members:
            self.trunk = trunk
            self.adapters = [f"{REWARD}{number or ''}" for number in range(len(members))]
            self.model = _attach(members, self.adapters, trunk, base, finetuned).to(device)
            self.around = lambda: trunk.use(self.adapters[0])
        else:
            self.model = load_reward(folder, base=base, finetuned=finetuned).to(device)
        self.tokenizer = load_tokenizer(folder)
        if self.tokenizer.pad_token_id is None:
            raise BadData("the reward model's tokenizer has no pad token; make it with the reward stage")

    @property
    def about(self) -> str:
        """Where its weights are."""
        if self.trunk is not None:
            return f"the reward model is {len(self.adapters)} adapter(s) on the policy's own base"
        return "the reward model is a model of its own"

    def __call__(self, prompts: list[Messages], answers: list[str]) -> Tensor:
        """Scores of whole conversations, each cut at the left where it is longer than in its training."""
        if not prompts:
            return torch.zeros(0)
        with self.around():
            return reward_scores(self.model, self._encode(prompts, answers), int(self.tokenizer.pad_token_id))

    def _encode(self, prompts: list[Messages], answers: list[str]) -> list[Conversation]:
        limit = self.model.max_length
        return [encode_answer(self.tokenizer, *pair, limit) for pair in zip(prompts, answers, strict=True)]

    @property
    def spread(self) -> Score | None:
        """Standard deviation of the members' scores of each answer, for an ensemble."""
        return self._spread if self.model.reading.members > 1 else None

    def _spread(self, prompts: list[Messages], answers: list[str]) -> Tensor:
        with self.around():
            rows, pad_id = self._encode(prompts, answers), int(self.tokenizer.pad_token_id)
            return reward_scores(self.model, rows, pad_id, uncertainty=True)[1]

    def value_head(self) -> nn.Linear:
        """The (first) score head as a head of values, in units of the score. Its bias is what scores are shifted by."""
        first = self.model if isinstance(self.model, RewardNetwork) else self.model.models[0]
        assert isinstance(first, RewardNetwork)
        reading, score = first.reading, first.score
        assert isinstance(score, nn.Linear)
        factor = (reading.match_scale if reading.readout == "match" else 1.0) / reading.std[0]
        head = nn.Linear(score.in_features, 1)
        with torch.no_grad():
            head.weight.copy_(score.weight[:1] * factor)
            head.bias.fill_(-reading.mean[0] / reading.std[0])
        return head

    @property
    def body(self) -> nn.Module:
        """The model under the (first) score head."""
        first = self.model if isinstance(self.model, RewardNetwork) else self.model.models[0]
        assert isinstance(first, RewardNetwork)
        return first.trunk


def _adapter_folders(folder: Path) -> list[Path]:
    """Folders of the adapters that a reward model consists of; none for whole models."""
    about = folder / ABOUT
    said = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    count = int(said.get("ensemble", 0)) if isinstance(said, dict) else 0
    folders = [member_folder(folder, number) for number in range(count)] or [folder]
    return folders if (folders[0] / "adapter_config.json").is_file() else []


def _attach(
    folders: list[Path], names: list[str], trunk: Trunk, base: Path | None, finetuned: Path | None
) -> AnyReward:
    """Put the adapters on the trunk, frozen; the heads that read it. Raises BadData for adapters of another base."""
    models = []
    for name, folder in zip(names, folders, strict=True):
        expect_files(folder, "adapter_config.json", "adapter_model.safetensors")
        settings = LoraConfig.from_pretrained(str(folder))
        settings.inference_mode = False  # PEFT would freeze the policy's adapter as well
        trunk.attach(name, settings)
        outcome: Any = set_peft_model_state_dict(
            trunk.model, load_file(folder / "adapter_model.safetensors"), adapter_name=name
        )
        if outcome.unexpected_keys:
            raise BadData(
                f"{folder.name}: {outcome.unexpected_keys[0]} of the reward adapter fits no layer of the base"
            )
        for param in trunk.parameters(name).values():
            param.requires_grad_(False)
        models.append(read_heads(folder, cast(PreTrainedModel, trunk.start.base_model)))
        _expect_own_base(folder, models[-1], base, finetuned)
    for model in models:
        model.score.requires_grad_(False)
        if model.match is not None:
            model.match.requires_grad_(False)
    if len(models) == 1:
        return models[0].eval()
    return Ensemble(models, lambda number: trunk.turn(names[number])).eval()


def _expect_own_base(folder: Path, model: RewardNetwork, base: Path | None, finetuned: Path | None) -> None:
    for name, given, expected in (
        ("base", base, model.reading.base),
        ("finetuned", finetuned, model.reading.finetuned),
    ):
        found = "" if given is None else digest_of(given)
        if found != expected:
            raise BadData(
                f"{folder.name}: the reward adapter was trained on the {name} artifact {expected[:12]}, this one is "
                f"{found[:12] or 'not given'}: run the reward stage again on it"
            )


def finite(score_B: Tensor, prompts: list[str]) -> Tensor:
    """The scores, or Diverged with the first prompt whose score is not a number."""
    bad = (~torch.isfinite(score_B)).nonzero().flatten().tolist()
    if bad:
        raise Diverged(
            f"the reward model gave {float(score_B[bad[0]])} to an answer to {prompts[bad[0]][:60]!r}: it is broken; "
            "train it again with a lower reward.optimizer.learning_rate"
        )
    return score_B
