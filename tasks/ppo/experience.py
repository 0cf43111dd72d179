"""What an update learns from, and how far an update has come; both can be saved between two optimiser steps."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.ppo.processes import Processes
from tasks.ppo.rollout import Answers

COLUMNS = ("logp_BT", "value_BT", "feature_BTH", "advantage_BT", "return_BT")
STATISTICS = (
    "tokens", "policy_loss", "clipped", "approx_kl", "value_loss", "value_clipped", "entropy", "dual", "ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Experience:
    """This process's rows of a rollout, 0 on padding."""

    rows: list[int]  # position of each row in the batch over all processes
    answers: Answers
    logp_BT: Tensor
    value_BT: Tensor
    feature_BTH: Tensor | None  # of the start model, for a critic that reads them
    advantage_BT: Tensor
    return_BT: Tensor

    def take(self, index: list[int]) -> "Experience":
        """Some rows, cut to the longest answer among them."""
        answers = self.answers.rows(index)
        chosen = torch.tensor(index, dtype=torch.long, device=self.logp_BT.device)
        parts = {name: tensor[chosen, : answers.width] for name, tensor in self._columns().items()}
        return replace(self, rows=[self.rows[i] for i in index], answers=answers, **parts)

    def _columns(self) -> dict[str, Tensor]:
        return {name: tensor for name in COLUMNS if (tensor := getattr(self, name)) is not None}

    def gather(self, batch: int, processes: Processes) -> dict[str, Tensor]:
        """The rows of all processes as plain tensors; every process must call it."""
        answers = self.answers
        left = processes.most(answers.prompt_width) - answers.prompt_width
        right = processes.most(answers.width) - answers.width
        tensors = {
            "ids_BL": pad(answers.ids_BL, (left, right)),
            "prompt_length_B": answers.prompt_length_B,
            "length_B": answers.length_B,
        }
        tensors |= {
            name: pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, right)) for name, tensor in self._columns().items()
        }
        found = {name: processes.whole(tensor, self.rows, batch) for name, tensor in tensors.items()}
        return found | {"prompt_width": torch.tensor(answers.prompt_width + left)}

    @classmethod
    def of(cls, tensors: dict[str, Tensor], batch: int, processes: Processes) -> "Experience":
        """This process's share of what ``gather`` gave."""
        at = {name: tensor.to(processes.device) for name, tensor in tensors.items()}
        whole = Answers(at["ids_BL"], at["prompt_length_B"], at["length_B"], int(at["prompt_width"]))
        columns: dict[str, Any] = {name: at.get(name) for name in COLUMNS}
        rows = processes.share(batch)
        return cls(list(range(batch)), whole, **columns).take(rows) if rows else _nothing(columns, processes)


def _nothing(columns: dict[str, Any], processes: Processes) -> Experience:
    empty = torch.zeros(0, dtype=torch.long, device=processes.device)
    answers = Answers(empty.reshape(0, 0), empty, empty, 0)
    none: dict[str, Any] = {name: None if tensor is None else tensor[:0, :0] for name, tensor in columns.items()}
    return Experience([], answers, **none)


@dataclass
class Round:
    """An iteration between its rollout and its end.

    ``figures`` are the rollout's, ``done`` optimiser steps are made, ``sums`` are STATISTICS over all processes.
    ``stopped``: the KL of a minibatch exceeded the target, and the rest of the update is left out.
    """

    experience: Experience
    figures: dict[str, float]
    done: int = 0
    stopped: bool = False
    sums: Tensor = field(default_factory=lambda: torch.zeros(len(STATISTICS), dtype=torch.float64))
    steps: list[dict[str, float]] = field(default_factory=list)  # gradient norms and mean ratio of each step

    def values(self) -> dict[str, Any]:
        """JSON values for a checkpoint, beside the tensors of the experience."""
        return {
            "figures": self.figures,
            "done": self.done,
            "stopped": self.stopped,
            "sums": self.sums.tolist(),
            "steps": self.steps,
        }

    @classmethod
    def of(cls, experience: Experience, values: dict[str, Any]) -> "Round":
        """Back from ``values``."""
        sums = torch.tensor(values["sums"], dtype=torch.float64)
        return cls(experience, values["figures"], values["done"], values["stopped"], sums, values["steps"])
