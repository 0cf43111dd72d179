"""The rankings on the page and in the UI: from the rank stage's trust.json to rows and a picture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.report.numbers import ABSENT, aligned_percent, number, show

Report = Mapping[str, Any]
Row = tuple[str, list[str]]
LEFT, RIGHT, STEP, TOP = 150.0, 470.0, 26.0, 12.0  # of the picture, in its own units
MOST_DRAWN, NAME = 20, 20  # annotators in the picture; characters of a name
RARE = 0.01  # probability below which a bias is called one


@dataclass(frozen=True)
class Whisker:
    """One annotator in the picture: agreement with the others, and its interval, as places on the axis."""

    label: str
    y: float
    x: float
    low: float
    high: float
    flagged: bool
    text: str


@dataclass(frozen=True)
class WonPlace:
    """How often the candidate at a place of the page won, beside what random places give."""

    label: str
    won: str
    expected: str
    width: float


@dataclass(frozen=True)
class Trust:
    """Everything that the page shows of the rankings; parts that were not measured are empty.

    ticks: (place, label) of the picture's axis. position: one sentence on the place of the winners.
    """

    summary: list[Row]
    flagged: list[tuple[str, list[str]]]
    whiskers: list[Whisker]
    ticks: list[tuple[float, str]]
    height: float
    annotators: list[Row]
    partners: list[Row]
    cycles: list[tuple[str, list[str], list[str]]]
    places: list[WonPlace]
    position: str
    models: list[Row]
    origins: list[Row]


def trust(report: Report) -> Trust | None:
    """What there is to show; None without rankings, or for an artifact made before there was a report."""
    if not report.get("rankings"):
        return None
    people = report.get("annotators", [])
    drawn = [one for one in people if _agreed(one)][:MOST_DRAWN]
    return Trust(
        summary=summary(report),
        flagged=[(str(one["name"]), list(map(str, one["reasons"]))) for one in report.get("flagged", [])],
        whiskers=[_whisker(one, index) for index, one in enumerate(drawn)],
        ticks=[(_x(share / 4), f"{25 * share}\u00a0%") for share in range(5)],
        height=TOP + STEP * len(drawn) + 30,
        annotators=annotators(report),
        partners=[
            (" – ".join(one["names"]), [_interval(one.get("share")), show(one.get("tau_b")), show(one.get("prompts"))])
            for one in report.get("partners", [])
        ],
        cycles=[
            (str(one["prompt"]), list(map(str, one["candidates"])), list(map(str, one["votes"])))
            for one in report["cycles"]["examples"]
        ],
        places=_places(report["position"].get("places", [])),
        position=position(report["position"]),
        models=[(str(one["name"]), [_interval(one["wins"]), show(one["wins"]["total"])]) for one in report["models"]],
        origins=[
            (
                str(one["name"]) or "(unknown)",
                [show(one["rankings"]), show(one["pairs"]), show(one["tied_pairs"]), _interval(one["longer_wins"])],
            )
            for one in report.get("origins", [])
        ],
    )


def summary(report: Report) -> list[Row]:
    """(measure, [value, 95 % interval, what chance gives]); what was not measured is left out."""
    agreement, cycles, length = report["agreement"], report["cycles"], report["length"]
    w = agreement["kendall_w"]
    rows = [
        ("pairs that two annotators order alike", agreement["pairs_alike"], aligned_percent, "50\u00a0%"),
        ("Kendall's W", w, show, show(w.get("chance"))),
        ("Krippendorff's α of the ranks", agreement["alpha_ranks"], show, "0"),
        ("Krippendorff's α of the votes on pairs", agreement["alpha_votes"], show, "0"),
        ("intransitive triads of the majority", cycles["intransitive"], aligned_percent, "25\u00a0%"),
        ("pairs won by the longer answer", length["longer_wins"], aligned_percent, "50\u00a0%"),
    ]
    return [
        (label, [form(found["value"]), f"{form(found['low'])} – {form(found['high'])}", chance])
        for label, found, form, chance in rows
        if number(found.get("value")) is not None
    ]


def annotators(report: Report) -> list[Row]:
    """(name, [votes, agreement with the others and its interval, τ_b, longer wins, first place wins, seconds])."""
    return [
        (
            str(one["name"]),
            [
                show(one["votes"]),
                _interval((one.get("agreement") or {}).get("share")),
                show((one.get("agreement") or {}).get("tau_b")),
                aligned_percent((one.get("longer_wins") or {}).get("value")),
                aligned_percent((one.get("position") or {}).get("first")),
                aligned_percent((one.get("self_consistency") or {}).get("value")),
                show(one.get("median_seconds")),
            ],
        )
        for one in report.get("annotators", [])
    ]


ANNOTATOR_COLUMNS = ["votes", "agrees with the others", "τ_b", "longer wins", "first shown wins", "repeats", "seconds"]


def position(found: Report) -> str:
    """Whether the place on the page decides, in one sentence; "" when places are not known."""
    chance = number(found.get("p"))
    if chance is None:
        return ""
    text = (
        f"The candidate shown first is best in {aligned_percent(found['first'])} of {show(found['votes'])} votes; "
        f"random places give {aligned_percent(found['expected'])} (p = {show(chance)})"
    )
    return text + (": the place has an influence." if chance < RARE else ": no sign that the place decides.")


def _agreed(one: Report) -> bool:
    return number(((one.get("agreement") or {}).get("share") or {}).get("value")) is not None


def _whisker(one: Report, index: int) -> Whisker:
    share = one["agreement"]["share"]
    name = str(one["name"])
    return Whisker(
        label=name if len(name) <= NAME else name[: NAME - 1] + "…",
        y=TOP + STEP * (index + 0.5),
        x=_x(share["value"]),
        low=_x(share["low"]),
        high=_x(share["high"]),
        flagged=bool(one.get("flags")),
        text=f"{name}: {_interval(share)} of {show(one['agreement']['prompts'])} prompts"
        + (", flagged" if one.get("flags") else ""),
    )


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 2)


def _interval(share: Report | None) -> str:
    if share is None or number(share.get("value")) is None:
        return ABSENT
    return f"{aligned_percent(share['value'])} ({aligned_percent(share['low'])} – {aligned_percent(share['high'])})"


def _places(pairs: Iterable[list[float]]) -> list[WonPlace]:
    rows = [(float(won), float(due)) for won, due in pairs]
    most = max((won for won, _ in rows), default=1.0) or 1.0
    return [
        WonPlace(f"place {number}", show(round(won, 1)), show(round(due, 1)), round(100 * won / most, 2))
        for number, (won, due) in enumerate(rows, start=1)
    ]
