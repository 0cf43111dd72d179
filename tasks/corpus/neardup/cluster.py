"""Candidate pairs band by band, and the clusters of those that are alike.

A bucket holds the documents that agree in one band. Its documents are compared at growing distance in document
order, those that are already connected are not; so a bucket of copies costs as many comparisons as it has members.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PARTNERS = 256  # earlier documents of one bucket that a document is compared with: bounds boilerplate
REMEMBERED = 1 << 24  # refused pairs; beyond, a pair may be compared twice

Int64 = NDArray[np.int64]
Compare = Callable[[Int64, Int64], NDArray[np.bool_]]
Bands = Callable[[int], NDArray[np.uint64]]  # band → key of each document


@dataclass(slots=True)
class Clusters:
    """members: documents that are in a cluster, each cluster in document order; ends: where each cluster ends.

    pairs: compared. capped: pairs of oversized buckets that were not compared.
    """

    members: Int64
    ends: Int64
    pairs: int = 0
    capped: int = 0

    def __len__(self) -> int:
        return len(self.ends)

    def sizes(self) -> Int64:
        """Documents of each cluster, two or more."""
        return np.diff(self.ends, prepend=0)

    def lists(self) -> list[list[int]]:
        """Members of each cluster."""
        members = self.members.tolist()
        return [members[end - size : end] for end, size in zip(self.ends.tolist(), self.sizes().tolist(), strict=True)]


@dataclass(slots=True)
class Forest:
    """Union-find over numpy arrays; the root of a tree is its smallest node."""

    parent: Int64

    def roots(self, nodes: Int64) -> Int64:
        """Root of each node; paths are cut on the way."""
        found = self.parent[nodes]
        while True:
            above = self.parent[found]
            if np.array_equal(above, found):
                self.parent[nodes] = found
                return found
            found = above

    def join(self, left: Int64, right: Int64) -> None:
        """Connect left[i] with right[i]."""
        while len(left):
            one, other = self.roots(left), self.roots(right)
            apart = one != other
            left, right = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
            np.minimum.at(self.parent, right, left)


@dataclass(slots=True)
class Search:
    """Clusters of ``candidates``; ``earlier`` documents, the first ones, are not compared with each other."""

    candidates: Int64
    compare: Compare
    earlier: int
    forest: Forest = field(init=False)
    refused: Int64 = field(init=False)
    pairs: int = 0
    capped: int = 0

    def __post_init__(self) -> None:
        self.forest = Forest(np.arange(len(self.candidates)))
        self.refused = np.empty(0, dtype=np.int64)

    def add_band(self, keys: NDArray[np.uint64], bits: int) -> None:
        """Compare the candidates that agree in a band; keys: of each candidate."""
        members, ends = _buckets(keys, bits)
        sizes = np.diff(ends, prepend=0)
        over = np.maximum(sizes - 1 - PARTNERS, 0)
        self.capped += int((over * (over + 1) // 2).sum())
        members, ends = self._unfinished(members, ends)
        for distance in range(1, PARTNERS + 1):
            sizes = np.diff(ends, prepend=0)
            if not (sizes > distance).any():
                break
            place = np.arange(len(members)) - np.repeat(ends - sizes, sizes)
            left = np.flatnonzero(np.repeat(sizes, sizes) - place > distance)
            self._compare(members[left], members[left + distance])
            if distance & (distance - 1) == 0:
                members, ends = self._unfinished(members, ends)

    def clusters(self) -> Clusters:
        """What was found so far."""
        roots = self.forest.roots(np.arange(len(self.candidates)))
        order = np.argsort(roots, kind="stable")
        # By hand: np.unique imports numpy.ma
        counts = np.bincount(roots, minlength=1)
        counts = counts[counts > 0]
        large = counts > 1
        members = self.candidates[order[np.repeat(large, counts)]]
        return Clusters(members, np.cumsum(counts[large]), self.pairs, self.capped)

    def _unfinished(self, members: Int64, ends: Int64) -> tuple[Int64, Int64]:
        """The buckets whose members are not all connected yet."""
        if not len(members):
            return members, ends
        sizes = np.diff(ends, prepend=0)
        roots = self.forest.roots(members)
        open_ = np.minimum.reduceat(roots, ends - sizes) != np.maximum.reduceat(roots, ends - sizes)
        return members[np.repeat(open_, sizes)], np.cumsum(sizes[open_])

    def _compare(self, left: Int64, right: Int64) -> None:
        """Compare pairs that are neither connected nor refused, and connect those that are alike."""
        fresh = (self.candidates[right] >= self.earlier) & (self.forest.roots(left) != self.forest.roots(right))
        left, right = left[fresh], right[fresh]
        codes = left * len(self.candidates) + right
        place = np.searchsorted(self.refused, codes)
        known = place < len(self.refused)
        known[known] = self.refused[place[known]] == codes[known]
        left, right, codes = left[~known], right[~known], codes[~known]
        if not len(left):
            return
        self.pairs += len(left)
        alike = self.compare(left, right)
        self.forest.join(left[alike], right[alike])
        kept = self.refused if len(self.refused) < REMEMBERED else self.refused[:0]
        self.refused = np.concatenate((kept, codes[~alike]))
        self.refused.sort()


def find_candidates(bands: Bands, count: int, present: NDArray[np.bool_]) -> Int64:
    """Documents, of those that are present, that share a bucket of any band."""
    bits, chosen = key_bits(len(present)), np.flatnonzero(present)
    found = np.zeros(len(chosen), dtype=bool)
    for band in range(count):
        found[_buckets(bands(band)[chosen], bits)[0]] = True
    return chosen[found]


def key_bits(documents: int) -> int:
    """Low bits of a key that make room for the document's position, so that plain numbers can be sorted."""
    return max(documents, 1).bit_length()


def _buckets(keys: NDArray[np.uint64], bits: int) -> tuple[Int64, Int64]:
    """Positions of equal keys (their low bits left out), each bucket ascending, and where each bucket ends."""
    if len(keys) < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    low = np.uint64((1 << bits) - 1)
    packed = (keys & ~low) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    upper = packed >> np.uint64(bits)
    same = upper[1:] == upper[:-1]
    after, before = np.append(same, False), np.append(False, same)
    inside = after | before
    ends = np.flatnonzero((before & ~after)[inside]) + 1
    return (packed[inside] & low).astype(np.int64), ends
