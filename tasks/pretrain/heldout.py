"""Held-out documents, and what their perplexity can be at best."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from tasks.documents import cut, encode_documents
from tasks.failures import BadData
from tasks.perplexity import predicted_tokens


@dataclass(frozen=True)
class Heldout:
    """Token rows, and the perplexity of the true distribution where the documents carry it."""

    rows: list[list[int]]
    bound: float | None


def read_heldout(
    documents: Iterable[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, count: int, context: int
) -> Heldout:
    """The first ``count`` held-out documents, cut at ``context``.

    bound: exp(sum of the documents' ``nats`` / predicted tokens), the entropy bound, when every document carries
    its nats (-log of its probability under its generator) and none is cut. Raises BadData when there is none.
    """
    chosen = list(islice(documents, count))
    if not chosen:
        raise BadData("the corpus has no held-out document; raise corpus.heldout or add a held-out source")
    encoded = encode_documents(tokenizer, chosen)
    rows = cut(encoded, context)
    nats = [row["metadata"].get("nats") for row in chosen]
    if rows != encoded or any(not isinstance(value, int | float) for value in nats):
        return Heldout(rows, None)
    return Heldout(rows, math.exp(sum(nats) / predicted_tokens(rows)))
