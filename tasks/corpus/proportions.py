from dataclasses import dataclass

import numpy as np

from tasks.corpus.document import share_of


@dataclass
class Order:
    documents: np.ndarray


def order_documents(digests, source, tokens, config, seed):
    placed = []
    for position, (d, s) in enumerate(zip(digests, source)):
        d = d.tobytes()
        epochs = config.sources[s].epochs
        whole = int(epochs)
        times = whole + (share_of(d, "epochs", seed) < epochs - whole)
        placed += [(share_of(d, f"order {c}", seed), c, position) for c in range(times)]
    placed.sort()
    return Order(np.array([p for *_, p in placed], dtype=np.int64))
