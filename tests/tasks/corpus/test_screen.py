"""Screens in the corpus stage: actions by kind, word lists, classifiers, languages, and the counts in the report."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from configs.schema.corpus import CorpusConfig
from configs.schema.screen import PiiConfig
from tasks.corpus.build import build_corpus
from tasks.corpus_shards import read_shards
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live

STORY = "The old man {} went down to the river with his dog and sat there for a while, {} as he had done all his life."
SOURCE = {"name": "s", "path": "raw:0"}

Run = Callable[..., tuple[dict[str, dict[str, Any]], dict[str, str], dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Kept rows by id, reasons of rejects by id, and the report, for texts by id and a config."""

    def build(texts: dict[str, str], terms: dict[str, str] | None = None, **config: Any) -> Any:
        raw = tmp_path / "rows.jsonl"
        raw.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))
        files = {"raw:0": [raw]}
        for name, content in (terms or {}).items():
            files[name] = [tmp_path / name]
            files[name][0].write_text(content, encoding="utf-8")
        for folder in ("out", "work"):
            (tmp_path / folder).mkdir()
        settings = CorpusConfig(**{"sources": [SOURCE], "seed": 0, **config})
        build_corpus(settings, Inputs(sources=files), tmp_path / "out", Live(tmp_path / "work"))
        out = tmp_path / "out"
        kept = {row["id"]: row for split in ("train", "heldout") for row in read_shards(out, split)}
        rejects = pq.read_table(out / "rejects").to_pylist()
        return kept, {row["id"]: row["reason"] for row in rejects}, json.loads((out / "report.json").read_text())

    return build


def stories(**extra: str) -> dict[str, str]:
    names = ("Amos", "Boaz", "Cole", "Dunn")
    return {name: STORY.format(name, "quietly " * number) for number, name in enumerate(names)} | extra


def test_each_kind_has_its_own_action(run: Run) -> None:
    texts = stories(
        mail=STORY.format("Ed", "bo@example.com"),
        ssn=STORY.format("Finn", "with 460-89-9847 on a slip"),
        ip=STORY.format("Gus", "at 36.160.14.148"),
    )
    kept, rejects, report = run(texts, pii={"ssn": "drop", "ip": "keep"})
    assert "[email] as he" in kept["mail"]["text"]
    assert "36.160.14.148" in kept["ip"]["text"]
    assert rejects == {"ssn": "pii_ssn"}
    assert report["pii"] == {"items": {"email": 1}, "documents": 1, "found": {"email": 1, "ip": 1, "ssn": 1}}
    assert report["totals"]["pii_masked"] == 1


def test_one_word_sets_every_kind_but_web_addresses() -> None:
    assert set(dict(PiiConfig.model_validate("keep")).values()) == {"keep"}
    assert PiiConfig.model_validate("drop").email == "drop"
    assert PiiConfig.model_validate("drop").url == "keep"
    with pytest.raises(ValidationError, match="'mask', 'drop' or 'keep'"):
        PiiConfig.model_validate("reject")


def test_word_lists_count_mask_and_drop(run: Run) -> None:
    texts = stories(
        counted=STORY.format("Ed", "no scoundrel"),
        masked=STORY.format("Finn", "a rascal, Rascal"),
        once=STORY.format("Gus", "one villain"),
        twice=STORY.format("Hal", "villain and villain"),
    )
    lists = [
        {"name": "mild", "path": "mild.txt"},
        {"name": "rude", "path": "rude.txt", "action": "mask"},
        {"name": "vile", "path": "vile.txt", "action": "drop", "max_hits": 1},
    ]
    terms = {"mild.txt": "scoundrel\n", "rude.txt": "rascal\n", "vile.txt": "villain\n"}
    kept, rejects, report = run(texts, terms, screen={"word_lists": lists})
    assert "no scoundrel" in kept["counted"]["text"]
    assert "a [rude], [rude] as" in kept["masked"]["text"]
    assert "once" in kept
    assert rejects == {"twice": "screen_vile"}
    assert report["screen"] == {"mild": 1, "rude": 2, "vile": 3}
    assert report["examples"]["screen_vile"][0]["id"] == "twice"


def test_names_of_lists_and_classifiers_differ() -> None:
    lists = [{"name": "rude", "path": "a"}, {"name": "rude", "path": "b"}]
    with pytest.raises(ValidationError, match="must differ: rude"):
        CorpusConfig.model_validate({"sources": [SOURCE], "screen": {"word_lists": lists}})


@pytest.fixture
def installed_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package on the import path that registers a classifier, as an installed one does."""
    site = tmp_path / "site"
    info = site / "shouting-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[plumbline.classifiers]\nshouting = shouting:score\n")
    (site / "shouting.py").write_text("def score(text):\n    return sum(map(str.isupper, text)) / len(text)\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "shouting", raising=False)


@pytest.mark.usefixtures("installed_classifier")
def test_a_registered_classifier_drops(run: Run) -> None:
    classifier = {"name": "shouting", "version": "1.2", "action": "drop", "threshold": 0.5}
    texts = stories(loud=STORY.format("Ed", "or so").upper())
    _, rejects, report = run(texts, screen={"classifiers": [classifier]})
    assert rejects == {"loud": "screen_shouting"}
    assert report["screen"] == {"shouting": 1}


@pytest.mark.usefixtures("installed_classifier")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "toxic"}, "no installed package registers 'toxic'.*registered: shouting"),
        ({"version": "2.0"}, r"asks for version 2\.0, installed is 1\.2"),
    ],
)
def test_a_classifier_that_is_not_there_stops_the_stage(run: Run, change: dict[str, str], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        run(stories(), screen={"classifiers": [{"name": "shouting", "version": "1.2", **change}]})


def test_detected_language_is_written_and_unwanted_ones_are_dropped(run: Run) -> None:
    german = "Der alte Mann ging mit seinem Hund zum Fluss hinab und sass dort eine Weile, wie er es immer getan hatte."
    chinese = (
        "老人带着他的狗走到河边，在那里静静地坐了很久，就像他这一辈子每天傍晚都会做的那样，直到天色完全暗了下来才回家。"
    )
    texts = stories(german=german, chinese=chinese)
    kept, rejects, report = run(texts, language={"keep": ["en", "zh"]})
    assert rejects == {"german": "language"}
    assert {key: row["language"] for key, row in kept.items()} == {**dict.fromkeys(stories(), "en"), "chinese": "zh"}
    assert report["languages"] == {"en": 4, "de": 1, "zh": 1}


def test_without_detection_the_source_is_believed(run: Run) -> None:
    kept, _, report = run(stories(), sources=[{**SOURCE, "language": "en-GB"}])
    assert {row["language"] for row in kept.values()} == {"en-GB"}
    assert report["languages"] == {"en-GB": 4}


def test_mojibake_is_repaired_where_the_source_asks_for_it(run: Run) -> None:
    texts = stories(cafe=STORY.format("Ed", "at the cafÃ© “Anna”"))
    kept, _, _ = run(texts, sources=[{**SOURCE, "mojibake": True}])
    assert "at the café “Anna” as" in kept["cafe"]["text"]
