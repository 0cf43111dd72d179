"""What a run shows in the Prefect UI: real artifacts on a real server; the drawings from small inputs."""

import json
import logging
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from configs.recipe import load_recipe
from configs.schema.strict import Strict, setting
from flows.engine import open_run
from flows.eyes.curves import curves, telling_curves
from flows.eyes.funnel import funnel, steps
from flows.eyes.headlines import FIGURES, headline
from flows.eyes.lengths import lengths
from flows.eyes.lineage import PLACES, lineage
from flows.eyes.markdown import block, code, plain, wrapped
from flows.eyes.post import Post, Poster
from flows.eyes.progress import Progress, duration
from flows.eyes.rejects import rejects
from flows.eyes.samples import samples
from flows.eyes.summary import Cost
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import find_run
from tasks.stage import stage

REPORT = {
    "totals": {"documents_in": 20, "kept": 12, "quarantined": 1, "heldout": 2},
    "reasons": {"near_duplicate": 3, "too_short": 4},
}
DETAILED = REPORT | {
    "funnel": [
        {"step": "read", "documents": 20, "tokens": None},
        {"step": "readable", "documents": 19, "tokens": 1000},
        {"step": "filters", "documents": 15, "tokens": 980},
        {"step": "near_duplicates", "documents": 12, "tokens": 700},
        {"step": "heldout", "documents": 2, "tokens": 100},
        {"step": "training", "documents": 24, "tokens": 1200},
    ],
    "counted_in": "words",
    "languages": {"en": 12, "zh": 7},
    "lengths": [{"tokens": 32, "kept": 2, "dropped": 7}, {"tokens": 128, "kept": 10, "dropped": 0}],
    "examples": {
        "near_duplicate": [{"id": "a", "source": "web", "duplicate_of": "b", "text": "你" * 50}],
        "too_short": [{"id": "c", "source": "a|b", "text": "| <b>me@example.com</b>\n[x](http://elsewhere)"}],
    },
}


class FunnelConfig(Strict):
    """A corpus that is made up."""

    detailed: bool = setting(False, "Whether the report is as large as that of the real stage.")

    fail: bool = setting(False, "Whether the data are bad.")


@stage(version=1, makes="corpus")
def corpus(config: FunnelConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write a report of a corpus, and nothing else."""
    if config.fail:
        raise BadData("row 3 is | not **text**")
    (out / "report.json").write_text(json.dumps(DETAILED if config.detailed else REPORT), encoding="utf-8")
    return {"kept": 12, "documents_in": 20, "duplicates": 3}


@flow
def one_stage(fail: bool, detailed: bool = False) -> None:
    """The toy stage alone."""
    with open_run(load_recipe("nano", ["price_per_hour=3600"]), only="corpus") as run:
        corpus(run, FunnelConfig(fail=fail, detailed=detailed))


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def shown() -> dict[str, str]:
    """Data of the artifacts of the latest run, by key."""
    flow_run = find_run(None).flow_run
    with get_client(sync_client=True) as client:
        found = [item for item in client.read_artifacts() if item.key and str(item.flow_run_id) == flow_run]
    assert len({item.key for item in found}) == len(found), "one artifact a key and run"
    return {item.key: item.data for item in found}


@pytest.mark.usefixtures("prefect_server")
def test_a_stage_that_was_run_shows_result_and_pictures() -> None:
    one_stage(False)
    record, pages = find_run(None), shown()
    assert set(pages) == {"nano-summary", "corpus-result", "corpus-funnel"}
    summary = pages["nano-summary"]
    assert "nano: ✓ Completed" in summary
    assert "kept 20 → 12, 3 duplicates" in summary
    assert f"plumbline chat {record.run}" in summary
    assert "(/artifacts/artifact/" in summary
    spent = record.row("corpus")["seconds"]
    cost = float(summary.partition("= **")[2].partition("**")[0])
    assert 0 < cost <= spent, "a price of 3600 an hour is 1 a second"
    assert record.row("corpus")["artifact"] in pages["corpus-result"]
    assert record.row("corpus")["uri"] in pages["corpus-result"]
    assert "data:image/svg+xml;base64," in pages["corpus-funnel"]


@pytest.mark.usefixtures("prefect_server")
def test_a_corpus_with_a_larger_report_shows_lengths_and_rejects() -> None:
    one_stage(False, detailed=True)
    pages = shown()
    assert set(pages) == {"nano-summary", "corpus-result", "corpus-funnel", "corpus-lengths", "corpus-rejects"}
    assert "data:image/svg+xml;base64," in pages["corpus-lengths"]
    for word in ("funnel", "lengths", "rejects"):
        assert f"[{word}](/artifacts/artifact/" in pages["nano-summary"]


@pytest.mark.usefixtures("prefect_server")
def test_a_reused_stage_shows_a_reference_and_no_picture() -> None:
    one_stage(False)
    maker = find_run(None)
    one_stage(False)
    pages = shown()
    assert set(pages) == {"nano-summary", "corpus-result"}
    assert "↺\u00a0Reused" in pages["nano-summary"]
    assert "reuse saved" in pages["nano-summary"]
    assert f"[{maker.run}](/runs/flow-run/{maker.flow_run})" in pages["corpus-result"]


@pytest.mark.usefixtures("prefect_server")
def test_a_failure_shows_why_and_what_to_do() -> None:
    with pytest.raises(BadData):
        one_stage(True)
    pages, run = shown(), find_run(None).run
    assert set(pages) == {"nano-summary", "corpus-result"}
    for page in pages.values():
        assert "✗ Failed" in page
        assert "~~~text\nBadData: row 3 is | not **text**\n~~~" in page
        assert f"plumbline logs {run} corpus" in page
    assert f"plumbline rerun {run}" in pages["nano-summary"]


def test_a_server_that_is_gone_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        poster = Poster(uuid4(), logging.getLogger("eyes"))
        begin = time.monotonic()
        for number in range(3):
            poster.put(Post(f"page-{number}", lambda: "text", "about"))
        assert time.monotonic() - begin < 0.5, "nobody waits for the server"
        poster.close(patience=20.0)
    assert [line.name for line in caplog.records] == ["eyes"]
    assert "is not shown: ConnectError" in caplog.text


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_run_that_is_tried_again_goes_on_with_its_artifacts() -> None:
    flow_run, log = uuid4(), logging.getLogger("eyes")
    for number in (1, 2):
        poster = Poster(flow_run, log, again=number > 1)
        poster.put(Post("tried-again", lambda text=f"attempt {number}": text, "about"))  # type: ignore[misc]
        poster.close(patience=20.0)
    with get_client(sync_client=True) as client:
        found = [item.data for item in client.read_artifacts() if item.key == "tried-again"]
    assert found == ["attempt 2"]


def test_a_drawing_that_fails_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    def draw() -> str:
        raise KeyError("documents_in")

    poster = Poster(uuid4(), logging.getLogger("eyes"))
    poster.put(Post("page", draw, "about"))
    poster.close(patience=20.0)
    assert "artifact page is not shown: KeyError: 'documents_in'" in caplog.text


def is_svg(text: str | None) -> ET.Element:
    assert text is not None
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme: dark" in text
    return root


def test_the_funnel_adds_up_and_follows_the_order_of_the_work() -> None:
    rows = steps(REPORT)
    assert [row.label for row in rows] == [
        "documents read", "unreadable", "too short", "near duplicate", "kept", "of these held out",
    ]  # fmt: skip
    assert [row.text for row in rows] == ["20", "19", "15", "12", "12, 60\u00a0%", "2, for measuring"]
    assert [row.lost for row in rows[1:4]] == ["−1, 5\u00a0%", "−4, 20\u00a0%", "−3, 15\u00a0%"]
    is_svg(funnel(json.dumps(REPORT)))
    assert funnel("{}") is None


def test_the_funnel_has_tokens_where_they_are_counted() -> None:
    rows = steps(DETAILED)
    assert [row.label for row in rows] == [
        "Read", "Readable", "Quality filters", "Near duplicates", "Kept", "Held out", "Training",
    ]  # fmt: skip
    assert [row.tokens for row in rows] == ["–", "1,000", "980", "700", "700", "100", "1,200"]
    assert [row.lost for row in rows[1:4]] == ["−1, 5.0\u00a0%", "−4, 20.0\u00a0%", "−3, 15.0\u00a0%"]
    assert max(row.remains + row.dropped for row in rows) == 1.0, "a repeated source does not leave the frame"
    assert max(row.token_share for row in rows) == 1.0
    text = funnel(json.dumps(DETAILED))
    is_svg(text)
    assert ">words</text>" in str(text)


def test_lengths_are_drawn_beside_languages_when_there_are_several() -> None:
    text = lengths(json.dumps(DETAILED))
    is_svg(text)
    assert "Languages" in str(text)
    assert str(text).count('class="remains"') == 2 + 1 + 3, "languages, legend, columns with the empty one between"
    alone = lengths(json.dumps(DETAILED | {"languages": {"en": 19}}))
    is_svg(alone)
    assert "Languages" not in str(alone)
    assert lengths(json.dumps(REPORT)) is None


def test_rejects_are_a_table_of_text_without_personal_data() -> None:
    text = str(rejects(json.dumps(DETAILED)))
    lines = text.splitlines()
    assert lines[2].startswith("| too short | 4 | 20\\.0 % | a\\|b | ")
    assert lines[3] == f"| near duplicate | 3 | 15\\.0 % | web | {'你' * 32}<br>{'你' * 18} |"
    for markup in ("<b>", "](http", "example.com", "me@"):
        assert markup not in text
    assert rejects(json.dumps(REPORT)) is None


def test_curves_are_drawn_from_what_was_recorded() -> None:
    rows = "".join(json.dumps({"step": step, "loss": 9.0 / step, "lr": 1e-3}) + "\n" for step in range(1, 20))
    text = curves("pretrain", rows)
    is_svg(text)
    for title in ("Loss", "Learning rate", "Lower is better."):
        assert title in str(text)
    assert curves("pretrain", "") is None
    assert "pretrain: Loss" in str(telling_curves({"pretrain": rows}))
    assert telling_curves({}) is None


def test_lineage_shows_every_stage_that_a_recipe_can_have() -> None:
    from configs.schema import STAGES

    assert tuple(PLACES) == STAGES
    rows = [
        {"name": name, "state": state, "kind": "text", "artifact": "0123456789abcdef"}
        for name, state in zip(STAGES, ("Reused", "Completed", "Failed", *["Pending"] * 8), strict=True)
    ]
    text = lineage(rows)
    looks = {group.get("class") for group in is_svg(text).iter() if group.tag.endswith("}g")}
    assert looks == {"Reused", "Completed", "Bad", "Pending"}
    assert "0123456789" in str(text)
    assert lineage(rows[:1]) is None


def test_samples_are_text_whatever_a_model_says() -> None:
    row = {
        "prompt": "Write | a story",
        "base": "![x](http://elsewhere/x.png) <script>alert(1)</script>",
        "finetuned": "",
        "aligned": "one\ntwo",
        "reward": {"base": -1.0, "finetuned": 0.5, "aligned": 2.0},
        "follows": {"base": False, "finetuned": None, "aligned": True},
    }
    text = str(samples("evaluate", json.dumps(row)))
    for markup in ("![x]", "](http", "<script>"):
        assert markup not in text
    assert "one<br>two<br>**✓ 2\\.00**" in text
    assert "*(empty)*<br>**0\\.500**" in text
    assert samples("evaluate", "") is None


def test_text_is_escaped() -> None:
    assert plain("a*b_[c](d) <e> | `f` \\ é") == r"a\*b\_\[c\]\(d\) \<e\> \| \`f\` \\ é"
    assert code("a|b`c`") == "`a¦b'c'`"
    assert block("~~~\nx").splitlines()[0] == "~~~~text"
    assert wrapped("one two three", 8, 100) == "one two<br>three"
    assert wrapped("abcdefgh", 80, 5) == "abcd…"


def test_every_stage_has_a_headline() -> None:
    from configs.schema import STAGES

    assert set(FIGURES) == set(STAGES)
    assert headline("pretrain", {"perplexity": 3.5, "perplexity_start": 600.0}) == "perplexity 600.0 → 3.50"
    assert headline("reward", {"pair_accuracy": 0.75, "length_baseline": None}) == "pairs right 75\u00a0%"
    assert headline("ppo", {}) == ""
    assert headline("ppo", {"kl": 2.5, "guard": "warn"}) == "KL 2.50, guard 🟠 warn"


def test_progress_says_how_far_and_how_long() -> None:
    progress = Progress(begun=time.monotonic() - 100, shown=time.monotonic() - 100)
    event: dict[str, Any] = {"event": "progress", "total": 100, "unit": "steps", "values": {"loss": 2.5, "tok_s": 1200}}
    assert progress.note({**event, "done": 0})
    assert not progress.note({**event, "done": 50}), "too soon"
    assert progress.percent == 50.0
    assert str(progress).startswith("50 of 100 steps · about ")
    assert str(progress).endswith(" left · loss 2.50 · tok/s 1,200")


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (12.4, "12 s"), (185, "3m 05s"), (7620, "2h 07m")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_cost_counts_what_was_spent_and_what_was_saved() -> None:
    assert str(Cost({"ppo": 2.0, "reward": 0.5}, {"pretrain": 8.0}, 2.0)) == (
        "**Cost** 2.50 device-hours × 2.00 = **5.00**; reuse saved 8.00 device-hours = 16.00"
    )
    assert str(Cost({"ppo": 2.0})) == "**Cost** 2.00 device-hours"
