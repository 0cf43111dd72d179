"""How long a document is: in tokens of a given tokenizer, or in words when there is none yet."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tasks.corpus.plan import Plan
from tasks.corpus.words import count_words
from tasks.corpus.work import Int64
from tasks.failures import BadData

Count = Callable[[pa.Array], Int64]


def counter(plan: Plan) -> Count:
    """Counts tokens, [N], of texts. Raises BadData when the tokenizer file is none."""
    asked = plan.config.counted_by
    if asked is None:
        return count_words
    import tokenizers

    path = plan.inputs.sources[asked.path][0]
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no class of its own
        raise BadData(f"{path.name}: no tokenizer.json ({error}); correct corpus.counted_by.path") from error
    tokenizer.encode_special_tokens = True  # the text of a special token is text
    tokenizer.no_truncation()

    def count(texts: pa.Array) -> Int64:
        encoded = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return np.fromiter((len(one.ids) for one in encoded), dtype=np.int64, count=len(encoded))

    return count
