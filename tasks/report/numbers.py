"""How numbers are written on the page. Fixed formats, so that the same artifacts give the same bytes."""

import math
from typing import Any

ABSENT = "–"


def number(value: Any) -> float | None:
    """``value`` as a finite float, or None when it is no number, a truth value, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def show(value: Any) -> str:
    """Any metric as text: integers whole, floats to about three figures, what is missing as a dash."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _minus(f"{value:,}")
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(show(item) for item in value) or ABSENT
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items()) or ABSENT
    return ABSENT if value is None or value == "" else str(value)


def percent(share: Any) -> str:
    """A share in [0, 1] as per cent, one decimal at most: .875 → "87.5 %"."""
    value = number(share)
    return ABSENT if value is None else _minus(f"{100 * value:.1f}".removesuffix(".0")) + "\u00a0%"


def aligned_percent(share: Any) -> str:
    """A share in [0, 1] as per cent, always with one decimal, so that a column of them is aligned."""
    value = number(share)
    if value is None:
        return ABSENT
    return ("<0.1" if 0 < value < 0.0005 else _minus(f"{100 * value:.1f}")) + "\u00a0%"


def short(value: int) -> str:
    """A count where there is little room, to three figures: 950, 1.02k, 33.6M, 4.1G."""
    size, units = float(value), ["", "k", "M", "G", "T"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    unit = units[0]
    digits = 0 if not unit or size >= 99.95 else 1 if size >= 9.995 else 2
    text = f"{size:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + unit


def change(start: Any, end: Any) -> str:
    """The signed difference end − start, or "" when either is missing."""
    first, last = number(start), number(end)
    if first is None or last is None:
        return ""
    return ("+" if last > first else "") + _float(last - first)


def words(name: str) -> str:
    """A metric's or column's name for readers: "grad_norm" → "grad norm"."""
    return name.replace("_", " ").strip()


def _float(value: float) -> str:
    if not math.isfinite(value):
        return ABSENT
    size = abs(value)
    if value == 0:
        return "0"
    if size < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return _minus(f"{mantissa.removesuffix('.0')}e{int(exponent)}")
    if size >= 1000:
        return _minus(f"{value:,.0f}")
    digits = 1 if size >= 100 else 2 if size >= 1 else 3
    return _minus(f"{value:.{digits}f}")


def _minus(text: str) -> str:
    """The typographic minus, which is as wide as the plus (exponents keep the hyphen)."""
    return "\u2212" + text[1:] if text.startswith("-") else text
