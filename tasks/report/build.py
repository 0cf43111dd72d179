"""Report stage: gather what the stages left, and write one page and its numbers."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from configs.schema.evaluate import ReportConfig
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.report import tables
from tasks.report.chart import Chart
from tasks.report.corpus import corpus
from tasks.report.curves import charts
from tasks.report.guard import guarded
from tasks.report.judgement import judgement
from tasks.report.learned import learned, tiles, warnings
from tasks.report.lineage import STAGE_OF, lineage
from tasks.report.numbers import show, words
from tasks.report.read import probe_accuracies, read_object, read_rows
from tasks.report.trust import ANNOTATOR_COLUMNS, trust

HERE = Path(__file__).parent
TRAINED = {
    "base": "Pretraining: learning the language",
    "finetuned": "Fine-tuning: learning to follow instructions",
    "reward": "Reward model: learning what people prefer",
    "aligned": "PPO: learning to please the reward model",
}


@dataclass(frozen=True)
class Training:
    """One training stage on the page: heading, its charts, charts of columns without a known meaning."""

    stage: str
    heading: str
    charts: list[Chart]
    others: list[Chart]


@dataclass(frozen=True)
class Numbers:
    """Everything that is known of one stage: (name, value) of its settings and of its metrics."""

    stage: str
    settings: list[tuple[str, str]]
    metrics: list[tuple[str, str]]


def build_report(config: ReportConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write ``index.html``, one self-contained page, and ``summary.json``; same inputs, same bytes.

    inputs.folders: "evaluation", and of corpus, tokenizer, base, finetuned, rankings, reward, aligned
    those that exist; inputs.metrics by the same names. Returns the number of charts, samples and bytes.
    Raises BadData when the evaluation is missing or a file is damaged (file and line are named).
    """
    if "evaluation" not in inputs.folders:
        given = ", ".join(sorted(inputs.folders)) or "none"
        raise BadData(f"report: needs the artifact of the evaluate stage, got: {given}; run the evaluate stage first")
    name = config.title or "plumbline run"
    found = learned(inputs.metrics)
    page = _content(inputs)
    html = _environment().get_template("page.html.j2").render(title=name, tiles=tiles(found), **page)
    (out / "index.html").write_text(html, encoding="utf-8", newline="\n")
    summary = {"name": name, "stages": _stages(inputs.metrics), "learned": found}
    text = json.dumps(_finite(summary), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    (out / "summary.json").write_text(text, encoding="utf-8", newline="\n")
    drawn = sum(len(part.charts) + len(part.others) for part in page["trainings"])
    live.say(f"report: {drawn} charts, {len(page['samples'])} samples, {len(html.encode()):,} bytes")
    return {"charts": drawn, "samples": len(page["samples"]), "bytes": len(html.encode())}


def _content(inputs: Inputs) -> dict[str, Any]:
    """Everything that the page shows, by the template's names."""
    folders, metrics = inputs.folders, inputs.metrics
    evaluation = folders["evaluation"]
    models, measures = tables.comparison(evaluation)
    accuracies = probe_accuracies(folders.get("reward"), dict(metrics.get("reward", {})))
    return {
        "warnings": warnings(metrics),
        "pictures": [lineage(inputs.refs, folders, wide) for wide in (True, False)],
        "corpus": corpus(read_object(folders["corpus"] / "report.json") or {}) if "corpus" in folders else None,
        "funnel": tables.funnel(folders["corpus"], metrics.get("corpus", {})) if "corpus" in folders else [],
        "trust": trust(read_object(folders["rankings"] / "trust.json") or {}) if "rankings" in folders else None,
        "trust_columns": ANNOTATOR_COLUMNS,
        "trainings": [_training(key, heading, folders[key]) for key, heading in TRAINED.items() if key in folders],
        "judgement": judgement(folders.get("reward")),
        "guard": guarded(folders["aligned"], metrics.get("aligned", {})) if "aligned" in folders else None,
        "bars": tables.bars(accuracies),
        "models": models,
        "measures": measures,
        "samples": tables.samples(evaluation),
        "numbers": [
            _numbers(key, stage, inputs) for key, stage in STAGE_OF.items() if key in folders or key in metrics
        ],
    }


def _training(key: str, heading: str, folder: Path) -> Training:
    stage = STAGE_OF[key]
    return Training(stage, heading, *charts(stage, read_rows(folder / "training" / "curve.jsonl")))


def _numbers(key: str, stage: str, inputs: Inputs) -> Numbers:
    found = sorted(inputs.metrics.get(key, {}).items())
    settings = tables.settings(inputs.folders[key]) if key in inputs.folders else []
    return Numbers(stage, settings, [(words(name), show(value)) for name, value in found])


def _stages(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Metrics by stage instead of by input name."""
    return {STAGE_OF.get(name, name): dict(values) for name, values in metrics.items()}


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null instead."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _environment() -> Environment:
    """Everything is escaped, in SVG too; the style sheet is ours and goes in as it is."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup((HERE / "style.css").read_text(encoding="utf-8"))
    return environment
