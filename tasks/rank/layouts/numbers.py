"""Numbers of raw rows: finite, and numbers."""

import math
from typing import Any


def finite(value: Any, key: str) -> float:
    """A finite number. Raises ValueError for anything else, true and false and NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"`{key}` is not a finite number: {value!r:.40}")
    return float(value)


def score(value: Any, key: str) -> float | None:
    """A finite number, also when it is written as a text; None when there is none (null, "", "N/A")."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "n/a", "none")):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"`{key}` is not a finite number: {value!r:.40}") from None
    return finite(value, key)
