"""The corpus on the page: what the stage itself reports, reports of before, and parts that there are not."""

import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.corpus import CorpusConfig
from configs.schema.evaluate import ReportConfig
from tasks.corpus.build import build_corpus
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.report.build import build_report
from tasks.report.corpus import MOST_LANGUAGES, corpus, languages, left_after, reasons
from tasks.report.histogram import MOST_LABELS, histogram
from tasks.report.numbers import aligned_percent, short
from tasks.report.read import reject_reasons

ATTACK = "<script>alert('x')</script>"
QUESTION = "How many apples does the old miller keep in the green boat when seven of nine are sold at the fair today?"
WORDS = ("the", "river", "mill", "and", "old", "boat", "of", "a", "green", "hill", "with", "that", "have", "seen")


def prose(number: int) -> str:
    """Words in a random order, that no filter minds; two numbers give texts that are no near duplicates."""
    draw = random.Random(number)
    names = (f"{draw.choice('bcdfgl')}{draw.choice('aeiou')}{draw.choice('mnrst')}e" for _ in range(20))
    made = (f"{draw.choice(WORDS)} {name}" for name in names)
    return " ".join(made) + "."


def page_of(folder: Path, metrics: dict[str, Any]) -> str:
    evaluation, out = folder.parent / "evaluation", folder.parent / "page"
    for made in (evaluation, out):
        made.mkdir(exist_ok=True)
    given = Inputs(folders={"evaluation": evaluation, "corpus": folder}, metrics={"corpus": metrics})
    build_report(ReportConfig(title="trial"), given, out, Live(folder.parent))
    return (out / "index.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """Words of the page, a space between elements, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tags = "", [""]
        self.feed(html)
        self.words = " ".join(self.words.replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.words += " "

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The real stage on two sources, with everything that it can report."""
    tales = [{"id": f"t{n}", "text": prose(n)} for n in range(12)]
    web = [{"id": f"w{n}", "text": prose(n + 100)} for n in range(6)]
    web += [
        {"id": "copy", "text": prose(3)},
        {"id": "near", "text": prose(4) + " Indeed."},
        {"id": "signs", "text": f"{ATTACK} to bo@example.com " + "= + " * 60},
        {"id": "asked", "text": f"{prose(60)} {QUESTION} {prose(61)}"},
    ]
    files: dict[str, list[Path]] = {}
    for name, rows in (("tales", tales), ("web", web), ("quiz", [{"question": QUESTION}])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        files[name] = [path]
    config = CorpusConfig.model_validate(
        {
            "sources": [{"name": "tales", "path": "tales"}, {"name": "web", "path": "web", "language": "zh"}],
            "seed": 0,
            "workers": 1,
            "heldout": 0.1,
            "contamination": {"sets": [{"name": "quiz", "path": "quiz", "fields": ["question"]}]},
            "mix": {
                "weights": {"tales": 3, "web": 1},
                "stages": [{"name": "early", "share": 0.75}, {"name": "late", "share": 0.25}],
            },
        }
    )
    out, work = tmp_path / "corpus", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    return out, build_corpus(config, Inputs(sources=files), out, Live(work))


def test_the_page_shows_what_the_stage_reports(built: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = built
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    html = page_of(out, metrics)
    page = Text(html)
    steps = {row["step"]: row for row in report["funnel"]}
    near = steps["near_duplicates"]
    assert near["documents"] == metrics["kept"] == 18
    for said in (
        "step documents share dropped words",
        f"Near duplicates 18 81.8 % −1 {near['tokens']:,}",
        f"Kept 18 81.8 % {near['tokens']:,}",
        "near duplicate 1 4.5 %",
        "zh 10 45.5 %",
        "web tales 1 1",
        "documents in it clusters dropped 2 1 1",
        "quiz 1 1 ",
        "from web, quiz.jsonl:1, 100.0 % of its n-grams",
        "source documents words share of words early late held out, documents",
        "contaminated: 1 of 1",
        "near duplicate: 1 of 1",
        "near from web, duplicate of t4",
    ):
        assert said in page.words, said
    assert str(report["contamination"][0]["examples"][0]["text"]) in page.words
    assert page.tags.count("details") >= 4 + len(report["reasons"])


def test_what_was_dropped_is_text_without_personal_data(built: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = built
    assert "bo@example.com" not in (out / "report.json").read_text(encoding="utf-8")
    html = page_of(out, metrics)
    assert "script" not in Text(html).tags
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; to [email]" in html
    assert "bo@example.com" not in html


def test_the_funnel_loses_what_the_reasons_count(built: tuple[Path, dict[str, Any]]) -> None:
    report = json.loads((built[0] / "report.json").read_text(encoding="utf-8"))
    rows = left_after(report)
    assert sum(row.dropped for row in rows) == sum(report["reasons"].values()) + report["totals"]["quarantined"]
    assert [row.label for row in rows][-3:] == ["Kept", "Held out", "Training"]
    assert rows[-3].documents == report["totals"]["kept"]


def test_a_report_of_before_has_the_funnel_of_before(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    out.mkdir()
    (out / "report.json").write_text(json.dumps({"reasons": {"too_short": 2}}), encoding="utf-8")
    html = page_of(out, {"documents_in": 10, "kept": 8})
    assert "Dropped: too short 2 20 %" in Text(html).words
    assert 'class="figures"' not in html


def test_parts_that_there_are_not_are_left_out() -> None:
    report = {
        "totals": {"documents_in": 2},
        "funnel": [{"step": "read", "documents": 2, "tokens": None}, {"step": "readable", "documents": 2, "tokens": 9}],
        "languages": {"en": 2},
        "contamination": [],
        "near_duplicates": {"clusters": {}, "largest": [], "by_sources": []},
    }
    found = corpus(report)
    assert found is not None
    assert [step.tokens for step in found.steps] == ["–", "9"]
    for part in ("reasons", "languages", "lengths", "pairs", "clusters", "sets", "personal", "mixture", "examples"):
        assert not getattr(found, part), part
    assert corpus({"totals": {"documents_in": 2}}) is None


def test_a_page_of_a_bare_report_has_no_empty_figures(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    out.mkdir()
    row = {"step": "read", "documents": 2, "tokens": None}
    (out / "report.json").write_text(json.dumps({"funnel": [row]}), encoding="utf-8")
    assert re.findall(r"<h3>(.*?)</h3>", page_of(out, {})) == ["What each step left"]


def test_rare_languages_share_a_row() -> None:
    counts = {f"l{n}": 100 - n for n in range(MOST_LANGUAGES + 4)}
    rows = languages({"languages": counts})
    assert len(rows) == MOST_LANGUAGES + 1
    assert rows[-1].label == "4 others"
    assert sum(int(row.count.replace(",", "")) for row in rows) == sum(counts.values())


def test_reasons_go_from_common_to_rare() -> None:
    rows = reasons({"totals": {"documents_in": 10_000}, "reasons": {"a_b": 1, "c": 300}})
    assert [(row.label, row.share.replace("\u00a0", " "), row.width) for row in rows] == [
        ("c", "3.0 %", 100.0),
        ("a b", "<0.1 %", 0.33),
    ]


def test_rejects_are_counted_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "rejects").mkdir()
    for number, found in enumerate((["language", "too_short"], ["language"])):
        pq.write_table(pa.table({"reason": found}), tmp_path / f"rejects/{number:05d}.parquet", row_group_size=1)
    assert reject_reasons(tmp_path) == {"language": 2, "too_short": 1}


@given(st.dictionaries(st.integers(0, 24), st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=25))
def test_columns_are_as_high_as_their_counts(counts: dict[int, tuple[int, int]]) -> None:
    bins = [{"tokens": (1 << place) >> 1, "kept": a, "dropped": b} for place, (a, b) in sorted(counts.items())]
    drawing = histogram(bins, "tokens")
    if not any(map(sum, counts.values())):
        assert drawing is None
        return
    assert drawing is not None
    assert len(drawing.columns) == max(counts) - min(counts) + 1
    assert len(drawing.x_ticks) <= MOST_LABELS
    top, most = drawing.y_ticks[-1].at, max(map(sum, counts.values()))
    for column, place in zip(drawing.columns, range(min(counts), max(counts) + 1), strict=True):
        kept, dropped = counts.get(place, (0, 0))
        assert column.dropped_top >= top - 0.05
        assert column.kept_height + column.dropped_height == pytest.approx(
            (kept + dropped) / most * max(one.kept_height + one.dropped_height for one in drawing.columns), abs=0.05
        )
        assert column.x + drawing.column_width <= drawing.right + 0.01


@given(st.integers(0, 10**15 - 10**12))
def test_short_numbers_are_short_and_near(value: int) -> None:
    text = short(value)
    assert len(text) <= 5
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1.0)
    assert float(text.rstrip("kMGT")) * scale == pytest.approx(value, rel=0.006)


def test_shares_in_a_column_have_one_decimal() -> None:
    assert [aligned_percent(share).replace("\u00a0", " ") for share in (0, 0.0004, 0.25, 1.0, None)] == [
        "0.0 %", "<0.1 %", "25.0 %", "100.0 %", "–",
    ]  # fmt: skip
