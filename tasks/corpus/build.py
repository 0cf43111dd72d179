"""The corpus stage: clean the shards, find duplicates over all of them, split, mix, write."""

import errno
import json
import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from configs.schema.corpus import CorpusConfig
from tasks.corpus import contamination, report
from tasks.corpus.catalogue import KEPT, Catalogue
from tasks.corpus.contamination import Index, build_index
from tasks.corpus.duplicates import drop_exact, drop_near, save_signatures
from tasks.corpus.engine import Engine
from tasks.corpus.engines import engine_for
from tasks.corpus.excerpt import excerpt
from tasks.corpus.mix import mix, split_heldout
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.neardup.stored import Stored
from tasks.corpus.ordering import Mixed
from tasks.corpus.output import write_all
from tasks.corpus.plan import CONTAMINATION, Plan, make_plan
from tasks.corpus.read import SourceCount, check_share
from tasks.corpus.report import Counts
from tasks.corpus.work import QUARANTINE, Int64, done_shard
from tasks.failures import BadData, StorageFailure
from tasks.inputs import Inputs
from tasks.live import Live

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def build_corpus(config: CorpusConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Clean Parquet shards from raw sources; see "Artifact formats" for what ``out`` holds.

    The result does not depend on the order of rows when they have ids, on how the input is cut into files, on the
    engine, or on how many processes work. Held-out documents share no duplicate, exact or near, with training
    documents (near: of the sources with near_duplicates "drop"). A stage that was killed goes on at the first shard
    that is not finished. Raises BadData for unsound files, too many malformed rows, and an empty result.
    """
    for source in config.sources:
        if not inputs.sources.get(source.path):
            raise BadData(f"source {source.name!r}: no file matches {source.path!r}; set corpus.sources.path")
    plan = make_plan(config, inputs, live.work / "corpus")
    _look_at_space(plan, live)
    try:
        with closing(engine_for(config.engine, config.workers, plan.size, config.ray_address)) as engine:
            metrics = _build(plan, inputs, engine, out, live)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFailure(_no_space(plan, str(error))) from error
    shutil.rmtree(plan.folder)
    live.say(_sentence(metrics))
    return metrics


def _look_at_space(plan: Plan, live: Live) -> None:
    free = shutil.disk_usage(plan.folder).free
    if free < 2 * plan.size:
        live.say(_no_space(plan, f"{free / 1e9:.1f} GB are free"))


def _no_space(plan: Plan, what: str) -> str:
    return (
        f"{what}; {plan.size / 1e9:.1f} GB of raw text need about twice as much in {plan.folder}, packed files more: "
        "free some space, or set PLUMBLINE_HOME to another disk; finished shards are kept"
    )


def _build(plan: Plan, inputs: Inputs, engine: Engine, out: Path, live: Live) -> dict[str, Any]:
    config = plan.config
    seed = config.seed if config.seed is not None else 0
    counts = _clean(plan, inputs, engine, live)
    catalogue = Catalogue.of(plan)
    earlier = Stored([path for corpus in config.dedup.against for path in inputs.sources[corpus.path]])
    if catalogue.repeated_ids:
        live.say(f"{catalogue.repeated_ids} ids were there before in their source; those documents are ID~2 and so on")
    drop_exact(catalogue, earlier)
    found = drop_near(catalogue, earlier, engine, lambda done, total: live.progress(done, total, "bands compared"))
    train, heldout = split_heldout(catalogue, config, seed)
    order = mix(catalogue, train, config, seed)
    mixed = train[order.documents]
    for line in order.warnings:
        live.say(line)
    report.require_training(mixed, catalogue, counts, config)
    if not len(heldout):
        live.say("no document is held out: perplexity cannot be measured; set split: heldout on a source")
    write_all(catalogue, engine, out, mixed, heldout, np.flatnonzero(~catalogue.kept))
    _join_quarantine(plan, out)
    if config.dedup.signatures:
        save_signatures(catalogue, out)
    made = _report(catalogue, counts, found, mixed, heldout, order, seed)
    (out / "report.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return dict(made["totals"])


def _clean(plan: Plan, inputs: Inputs, engine: Engine, live: Live) -> Counts:
    """Clean all shards that are not finished yet; what they counted."""
    config = plan.config
    if config.contamination.sets and plan.contamination is None:
        files = {one.path: inputs.sources[one.path] for one in config.contamination.sets}
        new = plan.folder / f"{CONTAMINATION}.new"
        shutil.rmtree(new, ignore_errors=True)
        build_index(config.contamination, files).save(new)
        new.rename(plan.folder / CONTAMINATION)
    ready = [number for number in range(plan.jobs) if done_shard(plan.shard(number)) is not None]
    if ready:
        live.start_at(len(ready), "shards")
    left = [number for number in range(plan.jobs) if number not in set(ready)]
    engine.run("clean", plan.folder, left, lambda done: live.progress(min(done, plan.size), plan.size, "bytes read"))
    live.progress(plan.size, plan.size, "bytes read")
    counts = Counts([SourceCount(source.name) for source in config.sources])
    for number in range(plan.jobs):
        done = done_shard(plan.shard(number))
        if done is None:
            raise BadData(f"shard {number} of the corpus is not there; remove {plan.folder} and run the stage again")
        counts.add(done)
    for source, count in zip(config.sources, counts.sources, strict=True):
        check_share(source, count, config.max_malformed)
    return counts


def _join_quarantine(plan: Plan, out: Path) -> None:
    with (out / "quarantine.jsonl").open("wb") as target:
        for number in range(plan.jobs):
            with (plan.shard(number) / QUARANTINE).open("rb") as source:
                shutil.copyfileobj(source, target)


def _report(
    catalogue: Catalogue, counts: Counts, found: Clusters, mixed: Int64, heldout: Int64, order: Mixed, seed: int
) -> dict[str, Any]:
    """report.json: totals (the stage's metrics), funnel, sources, reasons, clusters, screens, mix, examples."""
    sources = report.source_counts(catalogue, counts)
    reasons = report.reasons(catalogue)
    exact, near = reasons.get("exact_duplicate", 0), reasons.get("near_duplicate", 0)
    quarantined = sum(count.quarantined for count in counts.sources)
    totals = {
        "documents_in": sum(count.documents + count.quarantined for count in counts.sources),
        "kept": int((catalogue.reason == KEPT).sum()),
        "duplicates": exact + near,
        "rejected": sum(reasons.values()) - exact - near,
        "quarantined": quarantined,
        "exact_duplicates": exact,
        "near_duplicates": near,
        "repeated_ids": catalogue.repeated_ids,
        "pii_masked": counts.screen.masked.total(),
        **counts.screen.metrics(),
        "training": len(mixed),
        "heldout": len(heldout),
        "characters": int(catalogue.numbers("characters")[mixed].sum()),
        "tokens": int(catalogue.numbers("tokens")[mixed].sum()),
    }
    dropped = totals["duplicates"] + totals["rejected"] + totals["quarantined"]
    if totals["documents_in"] != totals["kept"] + dropped:
        raise AssertionError(f"documents are not all accounted for: {totals}")
    return {
        "totals": totals,
        "funnel": report.funnel(catalogue, counts, mixed, heldout),
        "sources": sources,
        "reasons": reasons,
        "near_duplicates": {
            "clusters": report.cluster_sizes(found),
            "largest": report.largest_clusters(catalogue),
            "by_sources": report.duplicates_by_sources(catalogue),
            "pairs_compared": found.pairs,
            "pairs_left_out_of_oversized_buckets": found.capped,
        },
        **counts.screen.report(),
        "contamination": _contamination(catalogue.plan, counts),
        "languages": report.languages(catalogue),
        "lengths": report.lengths(catalogue),
        "counted_in": "words" if catalogue.plan.config.counted_by is None else "tokens",
        "mix": {"train": report.shares(catalogue, mixed), "heldout": report.shares(catalogue, heldout)},
        "curriculum": report.stages(catalogue, order),
        "examples": report.examples(catalogue, seed),
    }


def _contamination(plan: Plan, counts: Counts) -> list[dict[str, Any]]:
    """One entry an evaluation set."""
    if plan.contamination is None:
        return []
    sets = [asdict(one) for one in contamination.report(Index.load(plan.contamination), counts.found)]
    for row in (row for one in sets for row in one["examples"]):
        row["text"] = excerpt(row["text"], plan.config.phone_region)
    return sets


def _sentence(metrics: dict[str, Any]) -> str:
    return (
        f"{metrics['documents_in']} documents: {metrics['kept']} kept, {metrics['exact_duplicates']} exact and "
        f"{metrics['near_duplicates']} near duplicates, {metrics['rejected']} rejected, "
        f"{metrics['quarantined']} quarantined, {metrics['pii_masked']} addresses and numbers masked"
    )
