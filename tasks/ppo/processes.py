"""What PPO asks of several processes: a share of the prompts, sums, and summed gradients.

Gradients are summed by hand and not by DistributedDataParallel: the loss is already divided by the tokens of
the whole minibatch, so a sum is exact, and a process without a token in it still joins every collective.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import Parameter


@dataclass(frozen=True)
class Processes:
    """The processes of one training run, seen from one of them."""

    accelerator: Accelerator

    @property
    def device(self) -> torch.device:
        """Device of this process."""
        return self.accelerator.device

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self.accelerator.process_index

    @property
    def main(self) -> bool:
        """True on the one process that writes."""
        return self.accelerator.is_main_process

    def share(self, count: int) -> list[int]:
        """The positions of range(count) that are this process's."""
        return list(range(self.rank, count, self.accelerator.num_processes))

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes, the same bytes on each; every process must call it."""
        if self.accelerator.num_processes == 1:
            return tensor
        return self.accelerator.reduce(tensor, "sum")

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace each gradient by its sum over all processes, in one collective."""
        if self.accelerator.num_processes == 1:
            return
        params = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in params])
        parts = self.sum(flat).split([p.numel() for p in params])
        for param, part in zip(params, parts, strict=True):
            param.grad = part.view_as(param).clone()

    def total(self, number: int) -> int:
        """The sum of the numbers that the processes give."""
        return int(self.sum(torch.tensor(number, device=self.device)))

    def most(self, number: int) -> int:
        """The largest of the numbers that the processes give."""
        if self.accelerator.num_processes == 1:
            return number
        return int(self.accelerator.gather(torch.tensor([number], device=self.device)).max())

    def whole(self, tensor_B: Tensor, rows: list[int], count: int) -> Tensor:
        """The rows of all processes in their places: ``rows`` says where this process's belong among ``count``."""
        if self.accelerator.num_processes == 1:
            return tensor_B
        place = torch.zeros(count, *tensor_B.shape[1:], dtype=tensor_B.dtype, device=self.device)
        place[rows] = tensor_B
        return self.sum(place)

    def wait(self) -> None:
        """Return when every process has come here."""
        self.accelerator.wait_for_everyone()
