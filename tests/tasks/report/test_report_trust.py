"""The rankings on the page, in the UI and in the terminal, from the file that the rank stage writes."""

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from configs.schema.evaluate import ReportConfig
from configs.schema.rank import RankConfig
from configs.schema.sources import RankingSource
from flows.cli import app
from flows.eyes.trust import trust as markdown
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings
from tasks.report.build import build_report
from tasks.report.trust import trust

ATTACK = "<script>alert('x')</script>"


def rows(names: list[str], votes: int = 30) -> list[dict[str, Any]]:
    """Three candidates a prompt; everybody ranks them alike, the last annotator upside down."""
    rng = random.Random(0)
    found = []
    for number in range(votes):
        texts = [f"{ATTACK} {number}", "short", f"{number} a longer answer, with more words in it"]
        for name in names:
            ranks = [3, 2, 1] if name == names[-1] and len(names) > 1 else [1, 2, 3]
            row = {"prompt": f"question {number}", "candidates": texts, "ranks": ranks, "annotator": name}
            found.append(row | {"models": ["m", "n", "n"], "shown": rng.sample(range(3), 3)})
    return found


def ranked(tmp_path: Path, names: list[str]) -> tuple[Path, dict[str, Any]]:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(names)), encoding="utf-8")
    out, work = tmp_path / "rankings", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    config = RankConfig(sources=[RankingSource(path="r")])
    return out, build_rankings(config, Inputs(sources={"r": [file]}), out, Live(work))


def page_of(folder: Path, metrics: dict[str, Any], tmp_path: Path) -> str:
    evaluation, out, work = tmp_path / "evaluation", tmp_path / "out", tmp_path / "live"
    for one in (evaluation, out, work):
        one.mkdir()
    given = Inputs(folders={"evaluation": evaluation, "rankings": folder}, metrics={"rankings": metrics})
    build_report(ReportConfig(), given, out, Live(work))
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_page_the_ui_and_the_terminal_name_the_odd_one(tmp_path: Path) -> None:
    folder, metrics = ranked(tmp_path, ["ada", "bo", "cy", ATTACK])
    assert (metrics["annotators"], metrics["flagged"], metrics["cycles"]) == (4, 1, 0.0)
    html = page_of(folder, metrics, tmp_path)
    assert "disagrees as if reversed: on 100% of pairs, the others among themselves on 0%" in html
    assert "Rankings: 1 annotator to look at" in html
    assert ATTACK not in html
    svg = html[html.index('<svg class="lengths whiskers"') :]
    drawing = ElementTree.fromstring(svg[: svg.index("</svg>") + 6].replace("&nbsp;", " "))
    assert len(drawing.findall(".//circle")) == 4
    text = (folder / "trust.json").read_text(encoding="utf-8")
    told = markdown(text) or ""
    assert "as if reversed" in told
    assert "<script>" not in told
    found = trust(json.loads(text))
    assert found is not None
    assert [one.flagged for one in found.whiskers] == [one.label.startswith("<") for one in found.whiskers]
    assert [name for name, _ in found.models] == ["n", "m"] or [name for name, _ in found.models] == ["m", "n"]


def test_the_terminal_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(["a", "b", "c", "d"])), encoding="utf-8")
    done = CliRunner().invoke(app, ["rankings", "trust", str(file)])
    assert done.exit_code == 0, done.output
    assert "look at d: disagrees as if reversed" in done.output
    found = json.loads(CliRunner().invoke(app, ["rankings", "trust", str(file), "--json"]).stdout)
    assert found["rankings"] == 120
    assert isinstance(CliRunner().invoke(app, ["rankings", "trust", "no/such.jsonl"]).exception, Exception)


@pytest.mark.parametrize("name", ["", "only"])
def test_one_annotator_gets_a_page_without_empty_parts(tmp_path: Path, name: str) -> None:
    folder, metrics = ranked(tmp_path, [name])
    html = page_of(folder, metrics, tmp_path)
    assert "pairs won by the longer answer" in html
    assert "Agreement with the others" not in html
    assert "Annotators to look at" not in html


def test_rankings_of_before_have_no_section(tmp_path: Path) -> None:
    folder = tmp_path / "rankings"
    folder.mkdir()
    assert 'id="rankings"' not in page_of(folder, {}, tmp_path)
    assert trust({}) is None
    assert (
        markdown(
            json.dumps(
                {
                    "rankings": 0,
                    "agreement": {"kendall_w": {}, "pairs_alike": {}, "alpha_ranks": {}, "alpha_votes": {}},
                    "cycles": {"intransitive": {}},
                    "length": {"longer_wins": {}},
                }
            )
        )
        is None
    )
