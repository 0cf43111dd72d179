"""Traditional and simplified Chinese as one, for comparing only: the text itself is not changed."""

from collections.abc import Callable
from functools import cache
from typing import Any

from configs.schema.corpus import DedupConfig
from tasks.failures import BadConfig

Fold = Callable[[str], str]


def fold_for(config: DedupConfig) -> Fold:
    """The text as it is compared. Raises BadConfig when OpenCC is asked for and not installed."""
    if not config.fold_chinese:
        return str
    convert: Fold = _converter().convert

    def fold(text: str) -> str:
        return text if text.isascii() else convert(text)

    return fold


@cache
def _converter() -> Any:
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise BadConfig(
            "corpus.dedup.fold_chinese needs OpenCC, which is not installed: pip install 'plumbline[corpus]'"
        ) from error
    return OpenCC("t2s")
