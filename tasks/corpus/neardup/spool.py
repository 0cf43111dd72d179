"""A growing array that moves to disk when it gets large."""

from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item", bound=np.generic)


class Spool(Generic[Item]):
    """Append arrays of one type, read them as one. Beyond ``limit`` bytes they stand in the file ``path``."""

    def __init__(self, kind: type[Item], path: Path, limit: int) -> None:
        self.kind, self.path, self.limit = kind, path, limit
        self.parts: list[NDArray[Item]] = []
        self.held = 0
        self.spilled = False

    def append(self, values: NDArray[Item]) -> None:
        """Add values at the end."""
        self.parts.append(values)
        self.held += values.nbytes
        if self.held > self.limit:
            self._spill()

    def read(self) -> NDArray[Item]:
        """All values, in memory."""
        if self.spilled:
            self._spill()
            return np.fromfile(self.path, dtype=self.kind)
        if len(self.parts) != 1:
            self.parts = [np.concatenate(self.parts)] if self.parts else [np.empty(0, dtype=self.kind)]
        return self.parts[0]

    def mapped(self) -> NDArray[Item]:
        """All values, on disk where they are many: the system reads the parts that are looked at."""
        if self.spilled:
            self._spill()
            mapped: NDArray[Item] = np.memmap(self.path, dtype=self.kind, mode="r")
            return mapped
        return self.read()

    def _spill(self) -> None:
        with self.path.open("ab") as file:
            for part in self.parts:
                part.tofile(file)
        self.parts, self.held, self.spilled = [], 0, True
