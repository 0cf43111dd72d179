"""What the corpus stage did, as counts that add up, with examples."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.schema.corpus import CorpusConfig
from tasks.corpus.catalogue import EARLIER, KEPT, Catalogue
from tasks.corpus.contamination import Found
from tasks.corpus.document import share_of
from tasks.corpus.excerpt import excerpt
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.ordering import Mixed
from tasks.corpus.quality.judge import SETTINGS as FILTER_SETTINGS
from tasks.corpus.read import SourceCount
from tasks.corpus.screen import ScreenCounts
from tasks.corpus.work import Int64
from tasks.failures import BadData

EXAMPLES = 10  # of each reason
CLUSTERS, MEMBERS = 10, 5  # the largest clusters, and how many ids of each
LONGEST = 24  # the last bin of lengths holds what has 2^23 tokens and more
SETTINGS = {
    **FILTER_SETTINGS,
    "exact_duplicate": "corpus.sources (the same text is read twice)",
    "near_duplicate": "corpus.dedup.threshold, or near_duplicates: keep of the source",
    "language": "corpus.language",
    "contaminated": "corpus.contamination",
}


@dataclass
class Counts:
    """What the shards counted: rows of each source, screens, overlaps with evaluation sets."""

    sources: list[SourceCount]
    screen: ScreenCounts = field(default_factory=ScreenCounts)
    found: Found = field(default_factory=Found)

    def add(self, done: dict[str, Any]) -> None:
        """Add what a finished shard wrote."""
        self.sources[done["source"]].add(SourceCount(**done["read"]))
        self.screen.add(**done["screen"])
        self.found.merge(Found.from_json(done["found"]))


def funnel(catalogue: Catalogue, counts: Counts, train: Int64, heldout: Int64) -> list[dict[str, Any]]:
    """Documents, tokens and characters that are left after each step, in the order in which the stage works."""
    tokens, characters = catalogue.numbers("tokens"), catalogue.numbers("characters")
    quarantined = sum(count.quarantined for count in counts.sources)
    rows = [{"step": "read", "documents": len(catalogue) + quarantined, "tokens": None, "characters": None}]
    left = np.ones(len(catalogue), dtype=bool)

    def row(step: str, places: Any) -> None:
        documents = len(places) if places.dtype != bool else int(places.sum())
        rows.append(
            {
                "step": step,
                "documents": documents,
                "tokens": int(tokens[places].sum()),
                "characters": int(characters[places].sum()),
            }
        )

    row("readable", left)
    for step in ("language", "filters", "contamination", "screen", "exact_duplicates", "near_duplicates"):
        codes = [code for code, reason in enumerate(catalogue.reasons) if step_of(reason) == step]
        left &= ~np.isin(catalogue.reason, codes)
        row(step, left)
    row("heldout", heldout)
    row("training", train)
    return rows


def step_of(reason: str) -> str:
    """The step that drops documents for this reason."""
    known = {
        "language": "language",
        "contaminated": "contamination",
        "exact_duplicate": "exact_duplicates",
        "near_duplicate": "near_duplicates",
    }
    if reason.startswith(("pii_", "screen_")):
        return "screen"
    return known.get(reason, "filters")


def source_counts(catalogue: Catalogue, counts: Counts) -> list[dict[str, Any]]:
    """Counts of each source. Rows and split pieces are all accounted for: kept + rejected + quarantined."""
    rows = []
    for index, count in enumerate(counts.sources):
        reason = catalogue.reason[catalogue.source == index]
        dropped = _reasons(catalogue, reason)
        kept = int((reason == KEPT).sum())
        if count.documents != kept + dropped.total() or count.rows != (
            count.quarantined + count.documents - count.split_added
        ):
            raise AssertionError(f"source {count.name!r}: documents are not all accounted for: {count}, {dropped}")
        rows.append(
            {
                "name": count.name,
                "rows": count.rows,
                "quarantined": count.quarantined,
                "split_added": count.split_added,
                "documents": count.documents,
                "kept": kept,
                "dropped": dict(sorted(dropped.items())),
            }
        )
    return rows


def shares(catalogue: Catalogue, places: Int64) -> list[dict[str, Any]]:
    """Documents, tokens and characters of each source among the documents at these places, and their shares."""
    config, source = catalogue.plan.config, catalogue.source[places]
    number = len(config.sources)
    sums = {
        "document": np.bincount(source, minlength=number),
        **{
            name: np.bincount(source, weights=catalogue.numbers(f"{name}s")[places], minlength=number).astype(np.int64)
            for name in ("token", "character")
        },
    }
    return [
        {
            "name": one.name,
            "epochs": one.epochs,
            **{f"{name}s": int(values[index]) for name, values in sums.items()},
            **{f"{name}_share": round(float(values[index] / max(values.sum(), 1)), 6) for name, values in sums.items()},
        }
        for index, one in enumerate(config.sources)
    ]


def stages(catalogue: Catalogue, mixed: Mixed) -> list[dict[str, Any]]:
    """Stages of the curriculum: where each ends in the training documents, and the realised shares of its tokens."""
    config = catalogue.plan.config
    names = [stage.name for stage in config.mix.stages] if config.mix is not None else []
    return [
        {
            "name": name,
            "ends": int(end),
            "tokens": int(tokens.sum()),
            "shares": {
                source.name: round(float(share), 6) for source, share in zip(config.sources, shares, strict=True)
            },
        }
        for name, end, tokens, shares in zip(names or ["all"], mixed.ends, mixed.tokens, mixed.shares(), strict=True)
    ]


def reasons(catalogue: Catalogue) -> dict[str, int]:
    """Dropped documents by reason."""
    return dict(sorted(_reasons(catalogue, catalogue.reason).items()))


def languages(catalogue: Catalogue) -> dict[str, int]:
    """Documents by language, dropped ones included, the commonest first."""
    counts = Counter(catalogue.table["language"].to_pylist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def lengths(catalogue: Catalogue) -> list[dict[str, int]]:
    """Kept and dropped documents by length: from ``tokens`` tokens to twice as many."""
    tokens, kept = catalogue.numbers("tokens"), catalogue.kept
    bins = np.minimum(np.frexp(tokens.astype(np.float64))[1], LONGEST)
    table = [np.bincount(bins[mask], minlength=LONGEST + 1) for mask in (kept, ~kept)]
    return [
        {"tokens": (1 << place) >> 1, "kept": int(table[0][place]), "dropped": int(table[1][place])}
        for place in range(LONGEST + 1)
        if table[0][place] or table[1][place]
    ]


def duplicates_by_sources(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Duplicates by the source they stood in and the source of the document that stands for them."""
    names = [source.name for source in catalogue.plan.config.sources]
    found: Counter[tuple[str, str, str]] = Counter()
    for reason in ("exact_duplicate", "near_duplicate"):
        if reason not in catalogue.reasons:
            continue
        places = np.flatnonzero(catalogue.reason == catalogue.reasons.index(reason))
        survivors = catalogue.survivor[places]
        other = np.where(survivors <= EARLIER, -1, catalogue.source[np.maximum(survivors, 0)])
        pairs, numbers = np.unique(np.stack((catalogue.source[places], other)), axis=1, return_counts=True)
        for (source, kept), number in zip(pairs.T.tolist(), numbers.tolist(), strict=True):
            found[(reason, names[source], "(earlier corpus)" if kept < 0 else names[kept])] += number
    return [
        {"reason": reason, "source": source, "kept_in": kept, "documents": number}
        for (reason, source, kept), number in sorted(found.items())
    ]


def examples(catalogue: Catalogue, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rejected documents of each reason, drawn by the seed from all of them."""
    names = [source.name for source in catalogue.plan.config.sources]
    region = catalogue.plan.config.phone_region
    shown: dict[str, list[dict[str, Any]]] = {}
    with catalogue.reader() as reader:
        for code, reason in sorted(enumerate(catalogue.reasons), key=lambda item: item[1]):
            places = _drawn(catalogue, np.flatnonzero(catalogue.reason == code), seed)
            texts = catalogue.texts(reader, places)
            for place, text in zip(places.tolist(), texts, strict=True):
                row = {"id": catalogue.id(place), "source": names[catalogue.source[place]]}
                if (survivor := int(catalogue.survivor[place])) != KEPT:
                    row["duplicate_of"] = catalogue.id(survivor)
                shown.setdefault(reason, []).append({**row, "text": excerpt(text, region)})
    return shown


def cluster_sizes(found: Clusters) -> dict[str, int]:
    """Number of near-duplicate clusters of each size."""
    sizes = Counter(found.sizes().tolist())
    return {str(size): sizes[size] for size in sorted(sizes)}


def largest_clusters(catalogue: Catalogue) -> list[dict[str, Any]]:
    """The survivors that most near duplicates were dropped for, with how many, and the first of their ids."""
    if "near_duplicate" not in catalogue.reasons:
        return []
    places = np.flatnonzero(catalogue.reason == catalogue.reasons.index("near_duplicate"))
    survivors, number = np.unique(catalogue.survivor[places], return_counts=True)
    largest = sorted(zip(-number, map(catalogue.id, survivors.tolist()), survivors.tolist(), strict=True))[:CLUSTERS]
    return [
        {
            "kept": id_,
            "dropped": int(-count),
            "examples": catalogue.ids(places[catalogue.survivor[places] == survivor][:MEMBERS]),
        }
        for count, id_, survivor in largest
    ]


def require_training(train: Int64, catalogue: Catalogue, counts: Counts, config: CorpusConfig) -> None:
    """Raise BadData when too few training documents are left, with the reason that dropped most and its setting."""
    if len(train) >= config.min_documents:
        return
    rows = sum(count.rows for count in counts.sources)
    if rows == 0:
        raise BadData("the sources hold no rows: check corpus.sources.path")
    left = (
        "no training document is left"
        if not len(train)
        else (f"{len(train)} training documents are left, fewer than corpus.min_documents={config.min_documents},")
    )
    dropped = _reasons(catalogue, catalogue.reason)
    if not dropped:
        raise BadData(
            f"{left} of {rows} rows: all are held out or left out; change corpus.heldout, "
            "or split and epochs of the sources"
        )
    reason, number = min(dropped.items(), key=lambda item: (-item[1], item[0]))
    raise BadData(f"{left} of {rows} rows: {reason} dropped {number}; change {_setting(reason)}")


def _reasons(catalogue: Catalogue, codes: Any) -> Counter[str]:
    numbers = np.bincount(codes[codes != KEPT], minlength=len(catalogue.reasons)).tolist()
    return Counter({name: number for name, number in zip(catalogue.reasons, numbers, strict=True) if number})


def _drawn(catalogue: Catalogue, places: Int64, seed: int) -> Int64:
    """At most `EXAMPLES` of the places, the same whatever else is dropped."""
    drawn = [share_of(digest.tobytes(), "example", seed) for digest in catalogue.digests[places]]
    return np.sort(places[np.argsort(drawn, kind="stable")[:EXAMPLES]])


def _setting(reason: str) -> str:
    """The setting to change when a reason drops too much."""
    for prefix, settings in (("pii_", "corpus.pii."), ("screen_", "corpus.screen: ")):
        if reason.startswith(prefix):
            return settings + reason.removeprefix(prefix)
    return SETTINGS[reason]
