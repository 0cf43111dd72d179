"""All quality filters on a batch of texts: who is dropped, why, and the texts that C4's rules leave."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.schema.quality import FilterConfig
from tasks.corpus.quality import basic
from tasks.corpus.quality.batch import Batch, Utf8, encoded
from tasks.corpus.quality.group import Group, Mask
from tasks.corpus.words import is_unspaced

_PREFIX = "corpus.filters"
_FAMILIES = {
    "gopher_quality": {
        "gopher_short_doc": "min_doc_words",
        "gopher_long_doc": "max_doc_words",
        "gopher_below_avg_threshold": "min_avg_word_length",
        "gopher_above_avg_threshold": "max_avg_word_length",
        "gopher_too_many_hashes": "max_symbol_word_ratio",
        "gopher_too_many_ellipsis": "max_symbol_word_ratio",
        "gopher_too_many_bullets": "max_bullet_lines_ratio",
        "gopher_too_many_end_ellipsis": "max_ellipsis_lines_ratio",
        "gopher_below_alpha_threshold": "max_non_alpha_words_ratio",
        "gopher_enough_stop_words": "min_stop_words",
    },
    "gopher_repetition": {
        "empty": "",
        **{name: name for name in ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")},
        **{f"top_{size}_gram": "top_n_grams" for size in range(2, 101)},
        **{f"duplicated_{size}_n_grams": "dup_n_grams" for size in range(2, 101)},
    },
    "c4": {
        "lorem_ipsum": "filter_lorem_ipsum",
        "curly_bracket": "filter_curly_bracket",
        "too_few_sentences": "min_num_sentences",
    },
    "fineweb": {
        "empty": "",
        "line_punct_ratio": "line_punct_thr",
        "short_line_ratio": "short_line_thr",
        "char_dup_ratio": "char_duplicates_ratio",
        "list_ratio": "new_line_ratio",
    },
}
SETTINGS = {  # reason to the setting that changes it
    **{reason: f"{_PREFIX}.{name}" for reason, name in basic.SETTINGS.items()},
    **{
        f"{family}.{reason}": ".".join(filter(None, (_PREFIX, family, name)))
        for family, names in _FAMILIES.items()
        for reason, name in names.items()
    },
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """reasons: of each text the first filter that drops it, None when it is kept. texts: with C4's changes.

    A text that is dropped is returned as it came.
    """

    reasons: list[str | None]
    texts: pa.Array


def judge(
    texts: pa.Array, languages: list[str], config: FilterConfig, tokens: NDArray[np.int64] | None = None
) -> Verdict:
    """Filters in the order basic, gopher_quality, gopher_repetition, c4, fineweb; each sees what the others kept.

    texts: Arrow strings, None counts as empty. languages: BCP 47 tag of each text. tokens: of each text, for min_tokens
    and max_tokens; words when None. The result of a text depends on
    no other text. Memory: about 40 bytes a character of the batch.
    """
    if len(texts) != len(languages):
        raise ValueError(f"{len(texts)} texts and {len(languages)} languages")
    if not len(texts):
        return Verdict([], texts)
    utf8 = Utf8.of(texts)
    counts = utf8.characters()
    short, long = counts < config.min_characters, counts > config.max_characters
    alive = ~short & ~long
    unspaced_of = {language: is_unspaced(language) for language in set(languages)}
    unspaced = np.array([unspaced_of[language] for language in languages], dtype=bool)
    batch = utf8.decoded(counts, alive)
    ascii_only = np.diff(utf8.offsets) == counts
    reasons: list[str | None] = np.select([short, long], ["too_short", "too_long"], "").tolist()
    reasons = [reason or None for reason in reasons]
    result = texts
    for kind, mask in ((False, alive & ~unspaced), (True, alive & unspaced)):
        if not mask.any():
            continue
        group = Group(batch.only(mask), languages, kind, mask)
        basic.filter_basic(group, config, ascii_only, tokens)
        _families(group, config)
        names = np.array([*group.reasons, None], dtype=object)
        for place in np.flatnonzero(group.chosen >= 0).tolist():
            reasons[place] = names[group.chosen[place]]
        if config.c4 is not None and group.alive.any():
            result = _replaced(result, group.batch, group.alive)
    return Verdict(reasons, result)


def _families(group: Group, config: FilterConfig) -> None:
    """The families that are on; modules of the others are not imported."""
    if config.gopher_quality is not None or config.gopher_repetition is not None:
        from tasks.corpus.quality import gopher

        if config.gopher_quality is not None and group.alive.any():
            gopher.filter_quality(group, config.gopher_quality)
        if config.gopher_repetition is not None and group.alive.any():
            gopher.filter_repetition(group, config.gopher_repetition)
    if config.c4 is not None or config.fineweb is not None:
        from tasks.corpus.quality import web

        if config.c4 is not None and group.alive.any():
            web.filter_c4(group, config.c4)
        if config.fineweb is not None and group.alive.any():
            web.filter_fineweb(group, config.fineweb)


def _replaced(texts: pa.Array, batch: Batch, where: Mask) -> pa.Array:
    """The texts with those that are marked taken from the batch."""
    import pyarrow.compute as pc

    bits = pa.py_buffer(np.packbits(where, bitorder="little").tobytes())  # pa.array of an array imports pandas
    mask = pa.Array.from_buffers(pa.bool_(), len(where), [None, bits])
    return pc.if_else(mask, encoded(batch), texts.cast(pa.large_string()))
