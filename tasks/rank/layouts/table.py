"""The layouts by name, and which one a row is written in."""

from tasks.failures import BadData
from tasks.rank.layouts import (
    alpaca_eval,
    argilla,
    best_first,
    hh,
    label_studio,
    oasst,
    own,
    pairs,
    ultrafeedback,
    unpaired,
)
from tasks.rank.layouts.item import Layout, Row

# In the order in which a row is tried: the first one that fits
LAYOUTS: dict[str, Layout] = {
    "own": own.LAYOUT,
    "hh": hh.LAYOUT,
    "pairs": pairs.LAYOUT,
    "pairs-chat": pairs.CHAT,
    "best-first": best_first.LAYOUT,
    "oasst": oasst.LAYOUT,
    "alpaca-eval": alpaca_eval.LAYOUT,
    "ultrafeedback": ultrafeedback.LAYOUT,
    "label-studio": label_studio.LAYOUT,
    "argilla": argilla.LAYOUT,
    "unpaired": unpaired.LAYOUT,
}
WRITTEN = [name for name, layout in LAYOUTS.items() if layout.write is not None]


def detect(row: Row, where: str) -> str:
    """Name of the layout that a row's keys fit. Raises BadData that names the keys."""
    for name, layout in LAYOUTS.items():
        if layout.fits(row):
            return name
    raise BadData(
        f"{where}: keys {', '.join(sorted(row)) or '(none)'} are no known layout of rankings ({', '.join(LAYOUTS)}); "
        "name the columns in `fields`, set `format` of the source, or convert the file"
    )
