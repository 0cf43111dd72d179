"""What an n-gram model of the training tokens reaches on the held-out documents."""

import numpy as np

from configs.schema.pretrain import PretrainConfig
from tasks.ngram import NgramModel, windows
from tasks.pretrain.heldout import Heldout
from tasks.pretrain.tokens import TokenRows


def ngram_perplexity(config: PretrainConfig, rows: TokenRows, heldout: Heldout, vocabulary: int) -> float:
    """Perplexity of the tokens that the model's own is measured on. Counts the first ``ngram_tokens`` of the corpus."""
    ids = np.asarray(rows.ids[: config.ngram_tokens])
    starts = np.asarray(rows.starts[: np.searchsorted(rows.starts, len(ids))])
    model = NgramModel(*windows(ids, starts, config.ngram_order, joined=config.rows == "packed"), vocabulary)
    lengths = np.asarray([len(row) for row in heldout.rows])
    heard = np.asarray([token for row in heldout.rows for token in row], dtype=np.uint32)
    return model.perplexity(*windows(heard, np.cumsum(lengths) - lengths, config.ngram_order, joined=False))
