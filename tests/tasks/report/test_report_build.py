"""The page: what it says, that it is one safe file, and that the same artifacts give the same bytes."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow
import pyarrow.parquet
import pytest

import tasks
from configs.schema.evaluate import ReportConfig
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.report.build import build_report
from tasks.report.learned import learned, tiles, warnings
from tasks.report.lineage import NODES, _by_trl, lineage

ATTACK = "<script>alert('x')</script>"
DIGEST = "0123456789abcdef" * 4
METRICS: dict[str, dict[str, Any]] = {
    "corpus": {"documents_in": 205, "kept": 150, "heldout": 10, "quarantined": 5},
    "base": {
        "perplexity_start": 900.0,
        "perplexity": 1.7,
        "perplexity_bound": 1.65,
        "perplexity_ratio": 1.03,
    },
    "finetuned": {"instruction_following_start": 0.0, "instruction_following": 0.9},
    "reward": {"pair_accuracy": 0.875, "length_baseline": 0.55, "probe_mood": 0.7},
    "aligned": {
        "reward_start": 0.5,
        "reward": 2.0,
        "reward_start_std": 0.75,
        "rubric_start": 4.0,
        "rubric": 5.25,
        "kl": 3.1,
    },
    "evaluation": {"instruction_following_aligned": 0.95},
}


def put(path: Path, value: Any) -> None:
    """Lists become JSON lines, everything else one JSON value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in value) if isinstance(value, list) else json.dumps(value)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Path]:
    """A hand-made run: every artifact that the report reads, as small as can be."""
    root = tmp_path / "run"
    put(root / "corpus/report.json", {"reasons": {"too_short": 20, "near_duplicate": 30}})
    put(root / "base/config.json", {"model_type": "llama", "hidden_size": 128, "vocab_size": 900})
    put(root / "base/training/curve.jsonl", [{"step": n, "loss": 7 / n, "lr": 1e-3} for n in range(1, 101)])
    put(root / "finetuned/adapter_config.json", {"peft_type": "LORA", "r": 16, "target_modules": ["v", "q"]})
    put(root / "finetuned/training/curve.jsonl", [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}])
    put(root / "reward/training/curve.jsonl", [{"step": n, "loss": 0.69, "heldout_loss": 0.7} for n in (1, 2)])
    put(root / "reward/probes.json", {"animal": 0.88, "mood": {"accuracy": 0.52, "pairs": 50}})
    put(
        root / "aligned/training/curve.jsonl",
        [{"step": n, "reward": n, "kl": 0.1, ATTACK: 2.0} for n in (1, 2, 3)],
    )
    put(
        root / "evaluation/evaluation.json",
        {"models": {"base": {"perplexity": 1.7}, "aligned": {"perplexity": 1.8}}},
    )
    answer = {"base": "no", "finetuned": ATTACK, "aligned": "A story & an end"}
    marks = {
        "reward": {"base": -2.125, "aligned": 1.5},
        "follows": {"base": False, "finetuned": True, "aligned": True},
    }
    put(root / "evaluation/samples.jsonl", [{"prompt": f"Tell {ATTACK}", **answer, **marks}])
    return {path.name: path for path in root.iterdir()}


def build(folders: dict[str, Path], out: Path, title: str = "trial") -> str:
    out.mkdir(parents=True, exist_ok=True)
    refs = {name: ArtifactRef(kind="kind", key="k", digest=DIGEST, uri="/machine/path") for name in folders}
    metrics = {name: METRICS[name] for name in folders}
    live = Live(work=out.parent)
    build_report(ReportConfig(title=title), Inputs(folders=folders, refs=refs, metrics=metrics), out, live)
    return (out / "index.html").read_text(encoding="utf-8")


VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Collects what the tests ask about: open tags, attributes, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_every_part_is_on_the_page(tree: dict[str, Path], tmp_path: Path) -> None:
    page = Outline(build(tree, tmp_path / "out"))
    text = " ".join(page.text.split())
    assert page.open == []
    expected = [
        "900.0 untrained",
        "1.70 pretrained",
        "best possible 1.65; 1.030 times that",
        "0 % base",
        "90 % fine-tuned",
        "95 % aligned",
        "alignment: +5 points",
        "length alone 55 %",
        "+1.50, or +2.00 standard deviations",
        "+1.25",
        "3.10 nats",
        "Dropped: near duplicate 30 14.6 %",
        "Dropped: too short 20 9.8 %",
        "Unreadable, set aside 5 2.4 %",
        DIGEST,
        "architecture llama",
        "adapted modules q, v",
        "✗ does not follow reward −2.12",
        "chance, 50 %",
    ]
    for said in expected:
        assert said in text.replace("\u00a0", " "), said
    assert "not given" in text  # rankings and tokenizer were not given


def test_user_text_is_never_markup(tree: dict[str, Path], tmp_path: Path) -> None:
    html = build(tree, tmp_path / "out", title=ATTACK)
    page = Outline(html)
    assert page.having("script") == []
    assert page.text.count(ATTACK) >= 5  # page title, heading, prompt, answer, a curve's column
    assert html.count("&lt;script&gt;") >= 5


def test_one_file_that_loads_nothing_and_names_no_machine(tree: dict[str, Path], tmp_path: Path) -> None:
    html = build(tree, tmp_path / "out")
    page = Outline(html)
    for tag, attrs in page.tags:
        assert not {"src", "srcset", "xlink:href"} & set(attrs), tag
        assert attrs.get("href", "#") == "data:," if tag == "link" else str(attrs.get("href", "#")).startswith("#")
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    policy = next(item["content"] for item in page.having("meta") if "http-equiv" in item)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "/machine/path" not in html
    assert str(tmp_path) not in html
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.html", "summary.json"]


def test_the_same_artifacts_give_the_same_bytes_anywhere(tree: dict[str, Path], tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    tree["corpus"].parent.rename(moved)
    first = build({name: moved / name for name in sorted(tree)}, tmp_path / "a/out")
    moved.rename(tmp_path / "run")
    second = build(dict(sorted(tree.items(), reverse=True)), tmp_path / "b/out")
    assert first == second
    assert (tmp_path / "a/out/summary.json").read_bytes() == (tmp_path / "b/out/summary.json").read_bytes()


def test_pictures_speak_and_tables_have_headings(tree: dict[str, Path], tmp_path: Path) -> None:
    html = build(tree, tmp_path / "out")
    page = Outline(html)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    pictures = [attrs for attrs in page.having("svg") if "aria-hidden" not in attrs]
    assert len(pictures) >= 8
    for attrs in pictures:
        assert attrs["role"] == "img"
        assert set(str(attrs["aria-labelledby"]).split()) <= set(ids)
    for part in re.findall(r"<svg.*?</svg>", html, flags=re.S):
        ElementTree.fromstring(part)  # raises where the drawing is not well-formed
    assert all(attrs.get("scope") in ("row", "col") for attrs in page.having("th"))
    links = {str(attrs["href"])[1:] for attrs in page.having("a")}
    assert links <= set(ids)
    assert len(re.findall(r"How to read this", html)) >= len(page.having("figure"))


def test_a_partial_run_shows_what_exists(tree: dict[str, Path], tmp_path: Path) -> None:
    part = {"evaluation": tree["evaluation"]}
    page = Outline(build(part, tmp_path / "out"))
    assert page.open == []
    headings = {attrs.get("id") for attrs in page.having("h2")}
    assert headings == {"learned", "lineage", "models", "samples", "numbers"}


def test_summary_holds_metrics_by_stage_and_what_was_learned(tree: dict[str, Path], tmp_path: Path) -> None:
    build(tree, tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["name"] == "trial"
    assert set(summary["stages"]) == {"corpus", "pretrain", "finetune", "reward", "ppo", "evaluate"}
    assert summary["stages"]["ppo"] == METRICS["aligned"]
    assert summary["learned"]["instruction_following"] == {"base": 0.0, "finetuned": 0.9, "aligned": 0.95}
    assert summary["learned"]["pair_accuracy"] == {"end": 0.875, "length_baseline": 0.55}


def test_rejects_are_counted_when_the_report_has_no_reasons(tree: dict[str, Path], tmp_path: Path) -> None:
    put(tree["corpus"] / "report.json", {"kept": 1})
    (tree["corpus"] / "rejects").mkdir()
    rows = pyarrow.table({"id": ["a", "b", "c"], "reason": ["long_words", "few_letters", "long_words"]})
    pyarrow.parquet.write_table(rows, tree["corpus"] / "rejects/rejects.parquet")
    text = " ".join(Outline(build(tree, tmp_path / "out")).text.split()).replace("\u00a0", " ")
    assert "Dropped: long words 2 1 % Dropped: few letters 1 0.5 %" in text


def test_warnings_name_what_went_wrong_and_only_that() -> None:
    assert warnings(METRICS) == []
    found = warnings(
        {
            "aligned": {"flags": ["reward rose while the rubric fell"], "stopped": "KL 9.1 exceeds ppo.kl.limit=8"},
            "reward": {"pair_accuracy": 0.55, "length_baseline": 0.6},
        }
    )
    assert [text.replace("\u00a0", " ") for text in found] == [
        "PPO: reward rose while the rubric fell",
        "PPO stopped early: KL 9.1 exceeds ppo.kl.limit=8",
        "The reward model orders 55 % of pairs rightly, judging by length alone 60 %.",
    ]


def test_without_an_evaluation_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="evaluate stage, got: corpus"):
        build_report(ReportConfig(), Inputs(folders={"corpus": tmp_path}), tmp_path, Live(work=tmp_path))


@pytest.mark.parametrize(("line", "why"), [("{", "not valid JSON"), ("[1]", "found list")])
def test_a_damaged_line_is_named(tree: dict[str, Path], tmp_path: Path, line: str, why: str) -> None:
    with (tree["aligned"] / "training/curve.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(BadData, match=rf"training/curve\.jsonl:4: .*{why}"):
        build(tree, tmp_path / "out")


def test_a_recipe_without_candidates_has_no_box_for_them() -> None:
    stages = [node.stage for node in NODES]
    ref = ArtifactRef(kind="candidates", key="k", digest=DIGEST, uri="/machine/path")
    for given, drawn in (({}, [name for name in stages if name != "candidates"]), ({"candidates": ref}, stages)):
        picture = lineage(given, (), wide=True)
        assert [box.stage for box in picture.boxes] == drawn
        reads = {box.stage: box.reads for box in picture.boxes}
        assert reads["rank"] == ("candidates" if given else "data sets of rankings")
        assert len(picture.arrows) == (10 if given else 8)


def test_the_picture_agrees_with_the_declared_stages() -> None:
    """Read from the source: importing the declarations would pull in the artifact store."""
    source = ast.parse((Path(tasks.__file__).parent / "stages.py").read_text(encoding="utf-8"))
    needs: dict[str, dict[str, Any]] = {}
    kinds: dict[str, str] = {}
    for function in (item for item in source.body if isinstance(item, ast.FunctionDef) and item.decorator_list):
        call = function.decorator_list[0]
        assert isinstance(call, ast.Call)
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        needs[function.name], kinds[function.name] = given.get("needs", {}), given["makes"]
    first = {name: made[0] if isinstance(made, tuple) else made for name, made in needs["report"].items()}
    assert {node.input: node.stage for node in NODES if node.input} == first
    by_trl = [_by_trl(node) for node in NODES[:-1]]
    for node in (*NODES[:-1], *by_trl):
        aligner = "trl" if node in by_trl else "ppo"
        made = [aligner if isinstance(one, tuple) else one for one in needs[node.stage].values()]
        assert set(node.reads) == set(made) - {"world"}, node.stage
        assert node.kind == kinds[node.stage], node.stage


def test_another_method_than_ppo_is_named(tmp_path: Path) -> None:
    """The stage trl stands in the picture where ppo stands, and the headline says the method."""
    wide, by_trl = lineage({}, (), wide=True), lineage({}, (), wide=True, by_trl=True)
    assert [box.stage for box in by_trl.boxes] == ["trl" if box.stage == "ppo" else box.stage for box in wide.boxes]
    assert by_trl.arrows == wide.arrows
    metrics = {"aligned": {"method": "dpo", "kl": 3.0, "flags": ["mean length went from 9 to 30 tokens"]}}
    assert warnings(metrics) == ["DPO: mean length went from 9 to 30 tokens"]
    assert tiles(learned(metrics), "dpo")[-1].label == "Distance moved by DPO"
    assert tiles(learned(metrics))[-1].label == "Distance moved by PPO"
