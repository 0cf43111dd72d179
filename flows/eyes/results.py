"""What a stage made, or why it made nothing: one page a stage, for what was reused as well."""

from typing import Any

from flows.eyes.headlines import headline
from flows.eyes.markdown import block, code, folded, plain, table
from flows.eyes.progress import duration
from flows.eyes.states import marked
from tasks.artifacts.ref import Manifest
from tasks.report.numbers import show, words


def result(run: str, row: dict[str, Any], manifest: Manifest, maker: str) -> str:
    """Artifact, where it lies, where it comes from, metrics. maker: Markdown that names the run which made it."""
    stage, when = row["name"], manifest.started.replace("T", " ").replace("Z", " UTC")
    facts = [
        ("key", code(manifest.key)),
        ("made", f"{when} in {duration(manifest.seconds)}, on {plain(manifest.device)}{maker}"),
        ("code", code(manifest.code)),
        ("read", _read(manifest)),
        ("log", code(f"plumbline logs {run} {stage}")),
    ]
    parts = [f"## {stage}: {marked(row['state'])}", plain(headline(stage, row["metrics"]))]
    if row["state"] == "Reused":
        parts.append("Nothing was run: the store holds what these settings and inputs make, and it was verified.")
    digest = f"{plain(manifest.kind)} {code(manifest.digest)}"
    parts.append(table(["artifact", digest], [[name, value] for name, value in facts]))
    parts.append(block(row["uri"]))
    if manifest.metrics:
        cells = [[plain(words(name)), plain(show(value))[:400]] for name, value in manifest.metrics.items()]
        parts.append(table(["metric", "value"], cells, right=[1]))
    return "\n\n".join(part for part in parts if part)


def failure(run: str, row: dict[str, Any]) -> str:
    """Why a stage ended without an artifact, and where to look."""
    stage = row["name"]
    return "\n\n".join(
        [
            f"## {stage}: {marked(row['state'])} after {duration(row['seconds'] or 0.0)}",
            block(folded((row["error"] or "no message")[:8000])),
            f"The whole log: {code(f'plumbline logs {run} {stage}')}. Checkpoints are kept: the next attempt goes on.",
        ]
    )


def _read(manifest: Manifest) -> str:
    parents = [f"{plain(name)} {code(ref.digest[:10])}" for name, ref in manifest.parents.items()]
    files = [f"{plain(source.name)} {code(source.sha256[:10])}" for source in manifest.sources]
    shown = [*parents, *files[:6], *([f"and {len(files) - 6} files more"] if len(files) > 6 else [])]
    return ", ".join(shown) or "nothing"
