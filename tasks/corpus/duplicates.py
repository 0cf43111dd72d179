"""Exact and near duplicates: which documents stay, and which stand for them.

Near duplicates: MinHash signatures (Broder 1997) in bands and rows (Leskovec et al., Mining of Massive Datasets,
3.4) name candidate pairs; each is checked by the exact Jaccard similarity of its word shingles; connected
documents form a cluster, of which the first in document order stays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import rensa
from numpy.typing import NDArray

from configs.schema.corpus import DedupConfig
from tasks.corpus.document import Document, Reject
from tasks.corpus.words import HashArray, jaccard, shingle_hashes, words_of

SIGNATURE_SEED = 20_260_101  # of the hash functions; not a setting: it names candidates, the exact check decides
PARTNERS = 256  # earlier documents of one bucket that a document is compared with: bounds boilerplate

Progress = Callable[[int, int], None]


@dataclass
class NearDuplicates:
    """clusters: positions of the documents of each cluster of two or more, in order. pairs: compared exactly.

    capped: pairs of oversized buckets that were not compared.
    """

    clusters: list[list[int]]
    pairs: int = 0
    capped: int = 0


@dataclass
class _Forest:
    """Union-find over positions; the root of a cluster is its smallest position."""

    parent: list[int]

    def root(self, node: int) -> int:
        while self.parent[node] != node:
            self.parent[node] = self.parent[self.parent[node]]
            node = self.parent[node]
        return node

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self.parent[high] = low


@dataclass
class _Shingles:
    """Sorted shingle sets of documents, computed when first asked for."""

    texts: list[str]
    size: int
    known: dict[int, HashArray] = field(default_factory=dict)

    def __getitem__(self, position: int) -> HashArray:
        if position not in self.known:
            self.known[position] = np.unique(shingle_hashes(words_of(self.texts[position]), self.size))
        return self.known[position]


def signature(shingles: HashArray, config: DedupConfig) -> bytes:
    """MinHash signature of a text's shingles: bands*rows numbers of 32 bits."""
    offsets = np.array([0, len(shingles)], dtype=np.uint64)
    width = config.bands * config.rows
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets, width, SIGNATURE_SEED)
    return np.array(matrix.to_rows()[0], dtype=np.uint32).tobytes()


def drop_exact(documents: list[Document]) -> tuple[list[Document], list[Reject]]:
    """Keep the first of the documents with equal folded text. Documents must be in document order."""
    first: dict[bytes, Document] = {}
    kept, dropped = [], []
    for document in documents:
        survivor = first.setdefault(document.digest, document)
        if survivor is document:
            kept.append(document)
        else:
            dropped.append(Reject(document, "exact_duplicate", survivor.id))
    return kept, dropped


def drop_near(
    documents: list[Document], config: DedupConfig, progress: Progress
) -> tuple[list[Document], list[Reject], NearDuplicates]:
    """Keep the first of each cluster of near duplicates among the documents that have a signature.

    Documents must be in document order; those without a signature stay and are not compared.
    """
    compared = [document for document in documents if document.signature]
    found = find_near([document.text for document in compared], _matrix(compared, config), config, progress)
    dropped: dict[int, Reject] = {}
    for cluster in found.clusters:
        survivor = compared[cluster[0]]
        for position in cluster[1:]:
            dropped[id(compared[position])] = Reject(compared[position], "near_duplicate", survivor.id)
    kept = [document for document in documents if id(document) not in dropped]
    return kept, list(dropped.values()), found


def find_near(
    texts: list[str], signatures: NDArray[np.uint32], config: DedupConfig, progress: Progress
) -> NearDuplicates:
    """Clusters of texts that are linked by a Jaccard similarity of at least ``config.threshold``.

    signatures: [texts, bands*rows]. A pair of similarity s becomes a candidate with probability
    1-(1-s^rows)^bands. progress: called with bands done and bands in all.
    """
    found = NearDuplicates([])
    forest, shingles = _Forest(list(range(len(texts)))), _Shingles(texts, config.shingle)
    refused: set[tuple[int, int]] = set()
    for band, bucket in _buckets(signatures, config):
        progress(band, config.bands)
        for place, right in enumerate(bucket):
            found.capped += max(0, place - PARTNERS)
            for left in bucket[max(0, place - PARTNERS) : place]:
                if (left, right) in refused or forest.root(left) == forest.root(right):
                    continue
                found.pairs += 1
                if _similar(shingles[left], shingles[right], config.threshold):
                    forest.join(left, right)
                else:
                    refused.add((left, right))
    clusters: dict[int, list[int]] = {}
    for position in range(len(texts)):
        clusters.setdefault(forest.root(position), []).append(position)
    found.clusters = [cluster for cluster in clusters.values() if len(cluster) > 1]
    return found


def _similar(left: HashArray, right: HashArray, threshold: float) -> bool:
    """Whether two shingle sets reach the threshold; sizes that rule it out are not intersected."""
    small, large = sorted((len(left), len(right)))
    return small >= threshold * large and jaccard(left, right) >= threshold


def _matrix(documents: list[Document], config: DedupConfig) -> NDArray[np.uint32]:
    """Signatures of the documents, [documents, bands*rows]."""
    joined = b"".join(document.signature for document in documents)
    return np.frombuffer(joined, dtype=np.uint32).reshape(len(documents), config.bands * config.rows)


def _buckets(signatures: NDArray[np.uint32], config: DedupConfig) -> Iterator[tuple[int, list[int]]]:
    """Band, and ascending positions that agree in all its rows, for each value met twice or more."""
    for band in range(config.bands):
        part = np.ascontiguousarray(signatures[:, band * config.rows : (band + 1) * config.rows])
        keys = part.view(np.dtype((np.void, part.itemsize * config.rows))).ravel()
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        order = np.argsort(inverse, kind="stable")
        ends = np.cumsum(counts)
        for value in np.flatnonzero(counts > 1):
            yield band, order[ends[value] - counts[value] : ends[value]].tolist()
