"""Which pictures a finished stage gets, and how each is drawn from the files of its artifact."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from flows.eyes import curves, funnel, lengths, rejects, samples, trust
from flows.eyes.content import read_text
from flows.eyes.markdown import block, image, plain, table
from tasks.artifacts import Store
from tasks.artifacts.ref import Manifest
from tasks.artifacts.store import generation
from tasks.report.learned import Tile, tiles
from tasks.report.lineage import STAGE_OF

Draw = Callable[[Store, Manifest], str | None]


@dataclass(frozen=True)
class Picture:
    """One artifact of the UI: the last word of its key, its description, and what draws it (None: nothing to show)."""

    word: str
    about: str
    draw: Draw


def pictures(stage: str) -> list[Picture]:
    """What is shown of a stage that has been run; nothing of one that was reused."""
    found = []
    if stage == "corpus":
        found.append(Picture("funnel", "From what was read to what was kept.", _funnel))
        found.append(Picture("lengths", "Languages and lengths of the documents.", _lengths))
        found.append(Picture("rejects", "Why documents were dropped, with an example each.", _rejects))
    if stage == "rank":
        found.append(Picture("trust", "How far the rankings agree, and annotators to look at.", _trust))
    if stage in curves.TRAINED:
        found.append(Picture("curves", "What training went through.", _curves))
    if stage in samples.COLUMNS:
        found.append(Picture("samples", "Held-out prompts, and the answers side by side.", _samples))
    if stage == "report":
        found.append(Picture("page", "What the run learned, in short; where the whole report is.", _page))
    return found


def _funnel(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, funnel.FILE)
    svg = funnel.funnel(text) if text else None
    return svg and "\n\n".join(
        [
            image("Documents: read, dropped by each step, kept", svg),
            "Blue is what is left, orange what a step dropped; a thin bar below, where there is one, the words or "
            "tokens that are left. The dropped documents, with the reason, lie in",
            block(f"{_folder(store, manifest)}/rejects"),
        ]
    )


def _trust(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, trust.FILE)
    return trust.trust(text) if text else None


def _lengths(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, funnel.FILE)
    svg = lengths.lengths(text) if text else None
    return svg and image("Languages and lengths of the documents", svg)


def _rejects(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, funnel.FILE)
    return rejects.rejects(text) if text else None


def _curves(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, curves.FILE)
    svg = curves.curves(manifest.stage, text) if text else None
    return svg and image(f"Curves of {manifest.stage}", svg)


def _samples(store: Store, manifest: Manifest) -> str | None:
    text = read_text(store, manifest, samples.FILE)
    return samples.samples(manifest.stage, text) if text else None


def _page(store: Store, manifest: Manifest) -> str | None:
    """The head of the report and its most telling charts."""
    text = read_text(store, manifest, "summary.json")
    if text is None:
        return None
    rows = [[plain(tile.label), _steps(tile)] for tile in tiles(json.loads(text)["learned"])]
    files = {}
    for name, ref in manifest.parents.items():
        if (stage := STAGE_OF.get(name)) in curves.TRAINED:
            files[str(stage)] = read_text(store, store.manifest(ref), curves.FILE) or ""
    svg = curves.telling_curves(files)
    return "\n\n".join(
        [
            table(["what was learned", ""], rows) if rows else "",
            image("The most telling curves of the run", svg) if svg else "",
            "The whole report is one file; a browser opens none from a page of a server:",
            block(f"{_folder(store, manifest)}/index.html"),
        ]
    )


def _steps(tile: Tile) -> str:
    steps = " → ".join(f"**{plain(value)}** {plain(name)}" for name, value in tile.steps)
    return f"{steps}<br>*{plain(tile.remark)}*" if tile.remark else steps


def _folder(store: Store, manifest: Manifest) -> str:
    return store.files.uri(generation(manifest.stage, manifest.key, manifest.fence)) + "/content"
