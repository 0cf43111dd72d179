"""Which side each document goes to, how often it is seen, and in which order."""

from configs.schema.corpus import CorpusConfig
from tasks.corpus.document import Document, share_of


def split_heldout(documents: list[Document], config: CorpusConfig, seed: int) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents, by the source's ``split`` and else by content hash.

    When the share is too small to hold out one of two or more documents, the one with the smallest hash is.
    """
    train: list[Document] = []
    heldout: list[Document] = []
    drawn: list[tuple[float, Document]] = []
    for document in documents:
        side = config.sources[document.source].split
        if side == "hash":
            drawn.append((share_of(document.digest, "heldout", seed), document))
        else:
            (train if side == "train" else heldout).append(document)
    limit = config.heldout
    if drawn and not heldout and len(drawn) + len(train) > 1:
        limit = max(limit, min(share for share, _ in drawn) + 2**-53)
    train += [document for share, document in drawn if share >= limit]
    heldout += [document for share, document in drawn if share < limit]
    return train, heldout


def mix(documents: list[Document], config: CorpusConfig, seed: int) -> list[Document]:
    """Training documents, each as often as its source's ``epochs`` says, in a seeded order.

    A fraction of an epoch takes the documents whose content hash is below it, so it grows without reshuffling.
    """
    placed: list[tuple[float, int, int, Document]] = []
    for position, document in enumerate(documents):
        epochs = config.sources[document.source].epochs
        whole = int(epochs)
        times = whole + (share_of(document.digest, "epochs", seed) < epochs - whole)
        placed += [
            (share_of(document.digest, f"order {copy}", seed), copy, position, document) for copy in range(times)
        ]
    placed.sort(key=lambda entry: entry[:3])
    return [document for *_, document in placed]
