"""Which side each document goes to, how often it is seen, and in which order."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from configs.schema.corpus import CorpusConfig
from tasks.corpus.catalogue import Catalogue, Digests
from tasks.corpus.document import share_of
from tasks.corpus.ordering import Mixed, order_documents, order_mix
from tasks.corpus.proportions import plan_mix
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


def mix(catalogue: Catalogue, train: Int64, config: CorpusConfig, seed: int) -> Mixed:
    """Training documents in their order, each as often as its source's share or ``epochs`` ask.

    Positions in the result are those in ``train``. Raises BadConfig for shares that cannot be.
    """
    digests, sources = catalogue.digests[train], catalogue.source[train]
    tokens, count = catalogue.numbers("tokens")[train], len(config.sources)
    if config.mix is None:
        epochs = np.array([source.epochs for source in config.sources], dtype=np.float64)
        order = order_documents(digests, sources, epochs, seed)
        seen = np.bincount(sources[order], weights=tokens[order], minlength=count).astype(np.int64)
        return Mixed(order, np.zeros(len(order), dtype=np.int64), np.array([len(order)]), seen[None])
    available = np.bincount(sources, weights=tokens, minlength=count).astype(np.int64)
    names = [source.name for source in config.sources]
    plan = plan_mix(config.mix, names, available)
    quality = catalogue.table["quality"].take(pa.array(train)).to_numpy(zero_copy_only=False).astype(np.float64)
    values = {"quality": quality} if not np.isnan(quality).any() else {}
    mixed = order_mix(plan, names, digests, sources, tokens, seed, values)
    limit = (plan.limit,) if plan.limit else ()
    return replace(mixed, warnings=(*plan.warnings, *limit, *mixed.warnings))


def _shares(digests: Digests, purpose: str, seed: int) -> np.ndarray:
    return np.array([share_of(digest.tobytes(), purpose, seed) for digest in digests], dtype=np.float64)
