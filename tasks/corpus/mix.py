"""Which side each document goes to, how often it is seen, and in which order."""

import numpy as np

from configs.schema.corpus import CorpusConfig
from tasks.corpus.catalogue import Catalogue, Digests
from tasks.corpus.document import share_of
from tasks.corpus.proportions import Order, order_documents
from tasks.corpus.work import Int64


def split_heldout(catalogue: Catalogue, config: CorpusConfig, seed: int) -> tuple[Int64, Int64]:
    """Positions of training and of held-out documents, by the source's ``split`` and else by content hash.

    When the share is too small to hold out one of two or more documents, the one with the smallest hash is.
    """
    places = np.flatnonzero(catalogue.kept)
    side = np.array([source.split for source in config.sources])[catalogue.source[places]]
    drawn = side == "hash"
    shares = _shares(catalogue.digests[places[drawn]], "heldout", seed)
    limit = config.heldout
    if drawn.any() and not (side == "heldout").any() and len(places) > 1:
        limit = max(limit, float(shares.min()) + 2**-53)
    heldout = side == "heldout"
    heldout[np.flatnonzero(drawn)[shares < limit]] = True
    # Documents whose source names the side come first, as their positions say, then those that are drawn
    order = np.lexsort((np.arange(len(places)), drawn))
    return places[order][~heldout[order]], places[order][heldout[order]]


def mix(catalogue: Catalogue, train: Int64, config: CorpusConfig, seed: int) -> Order:
    """Training documents in their order, each as often as its source's share asks."""
    return order_documents(
        catalogue.digests[train], catalogue.source[train], catalogue.numbers("words")[train], config, seed
    )


def _shares(digests: Digests, purpose: str, seed: int) -> np.ndarray:
    return np.array([share_of(digest.tobytes(), purpose, seed) for digest in digests], dtype=np.float64)
