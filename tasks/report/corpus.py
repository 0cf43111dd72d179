"""The corpus on the page and in the UI: from the stage's report.json to rows. What it does not hold is left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.report.excerpts import Example, example, span
from tasks.report.histogram import Histogram, histogram
from tasks.report.numbers import aligned_percent, show, words

Report = Mapping[str, Any]

STEPS = {
    "read": "Read",
    "readable": "Readable",
    "language": "Language",
    "filters": "Quality filters",
    "contamination": "Evaluation sets",
    "screen": "Screening",
    "exact_duplicates": "Exact duplicates",
    "near_duplicates": "Near duplicates",
    "heldout": "Held out",
    "training": "Training",
}
AFTER = ("heldout", "training")  # parts of what was kept, not steps of the funnel
MOST_LANGUAGES, MOST_PAIRS = 15, 20


@dataclass(frozen=True)
class Left:
    """What is left after a step. tokens: None where nothing was counted yet. dropped: documents, by this step.

    part: held out or training, which may hold documents more than once.
    """

    label: str
    documents: int
    tokens: int | None
    dropped: int
    part: bool = False


@dataclass(frozen=True)
class FunnelStep:
    """A row of the funnel as text, with the bars' lengths in per cent of all documents and tokens."""

    label: str
    documents: str
    dropped: str
    tokens: str
    share: str
    document_width: float
    dropped_width: float
    token_width: float
    strong: bool


@dataclass(frozen=True)
class BarRow:
    """A row with a bar: label, two numbers, length of the bar in per cent, and whether it is of kept documents."""

    label: str
    count: str
    share: str
    width: float
    kept: bool


@dataclass(frozen=True)
class SetFound:
    """One evaluation set: its row of numbers, and spans of the corpus that match an item."""

    name: str
    cells: list[str]
    examples: list[Example]


@dataclass(frozen=True)
class Mixture:
    """Realised mix: a row a source, and the share of each source in every stage of the curriculum."""

    stages: list[str]
    rows: list[tuple[str, list[str]]]
    total: tuple[str, list[str]]


@dataclass(frozen=True)
class Corpus:
    """Everything that the page shows of a corpus; parts that there are not are empty or None.

    unit: what lengths are counted in, "words" or "tokens".
    """

    unit: str
    steps: list[FunnelStep]
    reasons: list[BarRow]
    languages: list[BarRow]
    lengths: Histogram | None
    pairs: list[tuple[str, list[str]]]
    more_pairs: int
    clusters: list[BarRow]
    largest: list[tuple[str, list[str]]]
    sets: list[SetFound]
    personal: list[tuple[str, list[str]]]
    mixture: Mixture | None
    examples: list[tuple[str, str, list[Example]]]


def corpus(report: Report) -> Corpus | None:
    """What there is to show; None for a report without a funnel, made before it held one."""
    if not report.get("funnel"):
        return None
    unit, near = counted_in(report), report.get("near_duplicates", {})
    pairs = _pairs(near.get("by_sources", []))
    return Corpus(
        unit=unit,
        steps=_steps(left_after(report)),
        reasons=reasons(report),
        languages=languages(report),
        lengths=histogram(report.get("lengths", []), unit),
        pairs=pairs[:MOST_PAIRS],
        more_pairs=len(pairs[MOST_PAIRS:]),
        clusters=_clusters(near.get("clusters", {})),
        largest=[
            (str(one["kept"]), [show(one["dropped"]), ", ".join(map(str, one.get("examples", [])))])
            for one in near.get("largest", [])
        ],
        sets=[_set(one) for one in report.get("contamination", [])],
        personal=_personal(report),
        mixture=_mixture(report),
        examples=[
            (words(reason), show(report.get("reasons", {}).get(reason, len(shown))), [example(one) for one in shown])
            for reason, shown in report.get("examples", {}).items()
        ],
    )


def counted_in(report: Report) -> str:
    """The unit of lengths: "words" or "tokens"."""
    return str(report.get("counted_in", "tokens"))


def left_after(report: Report) -> list[Left]:
    """The funnel with a row for what was kept, after the last step that drops; [] for a report without one."""
    rows: list[Left] = []
    for one in report.get("funnel", []):
        name, documents = str(one["step"]), int(one["documents"])
        if name in AFTER and rows and not rows[-1].part:
            rows.append(Left("Kept", rows[-1].documents, rows[-1].tokens, 0))
        lost = rows[-1].documents - documents if rows and name not in AFTER else 0
        rows.append(Left(STEPS.get(name, words(name)), documents, one.get("tokens"), lost, name in AFTER))
    return rows


def reasons(report: Report) -> list[BarRow]:
    """Dropped documents by reason, the commonest first, with their share of all that were read."""
    total = report.get("totals", {}).get("documents_in", 0)
    counts = sorted(report.get("reasons", {}).items(), key=lambda item: (-item[1], item[0]))
    rows = ((words(reason), count, aligned_percent(count / max(total, 1))) for reason, count in counts)
    return _bars(rows, kept=False)


def languages(report: Report) -> list[BarRow]:
    """Documents by language, the commonest first and the others together; [] when there is one language only."""
    counts = list(report.get("languages", {}).items())
    if len(counts) < 2:
        return []
    total = sum(count for _, count in counts)
    shown, others = counts[:MOST_LANGUAGES], counts[MOST_LANGUAGES:]
    if others:
        shown.append((f"{len(others)} others", sum(count for _, count in others)))
    return _bars(((str(name), count, aligned_percent(count / max(total, 1))) for name, count in shown), kept=True)


def _steps(rows: list[Left]) -> list[FunnelStep]:
    documents = max(rows[0].documents, 1)
    tokens = max(next((row.tokens for row in rows if row.tokens), 1), 1)
    return [
        FunnelStep(
            label=row.label,
            documents=show(row.documents),
            dropped=f"−{show(row.dropped)}" if row.dropped else "",
            tokens=show(row.tokens),
            share=aligned_percent(row.documents / documents),
            document_width=_width(row.documents, documents),
            dropped_width=_width(row.dropped, documents),
            token_width=_width(row.tokens or 0, tokens),
            strong=row.label in ("Read", "Kept"),
        )
        for row in rows
    ]


def _width(count: float, whole: float) -> float:
    return round(100 * min(count / max(whole, 1), 1), 2)


def _bars(rows: Iterable[tuple[str, int, str]], *, kept: bool) -> list[BarRow]:
    """Bars as long as the number beside them; the longest is full."""
    listed = list(rows)
    most = max((count for _, count, _ in listed), default=1)
    return [BarRow(label, show(count), share, _width(count, most), kept) for label, count, share in listed]


def _pairs(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Duplicates by source: (source, [where the document that stays stands, exact, near]), most first."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for one in found:
        counts.setdefault((str(one["source"]), str(one["kept_in"])), {})[str(one["reason"])] = int(one["documents"])
    ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return [
        (source, [kept_in, *(show(by.get(reason, 0)) for reason in ("exact_duplicate", "near_duplicate"))])
        for (source, kept_in), by in ordered
    ]


def _clusters(sizes: Mapping[str, int]) -> list[BarRow]:
    """Clusters by size: 2, 3, 4, then from 5 to 8, 9 to 16 and so on, with the documents dropped from them."""
    bins: dict[tuple[int, int], tuple[int, int]] = {}
    for name, number in sizes.items():
        size = int(name)
        top = 1 << (size - 1).bit_length()
        key = (size, size) if size <= 4 else (top // 2 + 1, top)
        clusters, dropped = bins.get(key, (0, 0))
        bins[key] = (clusters + number, dropped + number * (size - 1))
    rows = [
        (f"{show(low)}" if low == high else f"{show(low)}–{show(high)}", clusters, show(dropped))
        for (low, high), (clusters, dropped) in sorted(bins.items())
    ]
    return _bars(rows, kept=True)


def _set(one: Mapping[str, Any]) -> SetFound:
    cells = [show(one[name]) for name in ("items", "looked_for", "ngrams")]
    cells += [show(len(one["found"])), show(one["documents"])]
    return SetFound(str(one["name"]), cells, [span(found) for found in one["examples"]])


def _personal(report: Report) -> list[tuple[str, list[str]]]:
    """Screened items: (kind, [found, masked])."""
    found, masked = report.get("pii", {}).get("found", {}), report.get("pii", {}).get("items", {})
    rows = [(words(kind), [show(number), show(masked.get(kind, 0))]) for kind, number in found.items()]
    return rows + [(words(name), [show(number), "–"]) for name, number in report.get("screen", {}).items()]


def _mixture(report: Report) -> Mixture | None:
    train = report.get("mix", {}).get("train", [])
    if not train:
        return None
    heldout = {one["name"]: one for one in report["mix"].get("heldout", [])}
    curriculum = report.get("curriculum", [])
    stages = curriculum if len(curriculum) > 1 else []
    rows = [
        (
            str(one["name"]),
            [
                show(one["documents"]),
                show(one["tokens"]),
                aligned_percent(one["token_share"]),
                *(aligned_percent(stage["shares"].get(one["name"], 0.0)) for stage in stages),
                show(heldout.get(one["name"], {}).get("documents", 0)),
            ],
        )
        for one in train
    ]
    total = [
        show(sum(one["documents"] for one in train)),
        show(sum(one["tokens"] for one in train)),
        "",
        *(show(stage["tokens"]) for stage in stages),
        show(sum(one["documents"] for one in heldout.values())),
    ]
    return Mixture([str(stage["name"]) for stage in stages], rows, ("all", total))
