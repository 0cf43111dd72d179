"""The order in which training rows are learned."""

import hashlib

import torch


class DataOrder:
    """Which rows a step learns from: every epoch is a new permutation, and a step alone decides its place in it.

    Nothing has to be saved: step 500 of a resumed run takes the same rows as step 500 of any other.
    """

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self._rows, self._batch, self._seed = rows, batch, seed
        self._epoch, self._order = -1, torch.empty(0)

    def step(self, step: int) -> list[int]:
        """Row indices of one step, the first step is 0."""
        return [self._place(place) for place in range(step * self._batch, (step + 1) * self._batch)]

    def _place(self, place: int) -> int:
        epoch, position = divmod(place, self._rows)
        if epoch != self._epoch:
            seeded = hashlib.sha256(f"{self._seed}/order/{epoch}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(seeded[:7], "big"))
            self._epoch, self._order = epoch, torch.randperm(self._rows, generator=generator)
        return int(self._order[position])
