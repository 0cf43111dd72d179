"""Items of real evaluation sets inside real documents: all planted ones found, none in clean documents."""

import gzip
import json
import os
import random
from pathlib import Path

import pytest

from configs.schema.contamination import ContaminationConfig, EvaluationSet
from tasks.corpus.contamination import Index, build_index
from tasks.corpus.neardup.texts import from_strings

DATA = os.environ.get("PLUMBLINE_TEST_DATA", "")
SETS = {
    "mmlu": ("mmlu_dev", ["question", "A", "B", "C", "D"]),
    "ceval": ("ceval_dev", ["question", "A", "B", "C", "D"]),
    "ifeval": ("ifeval", ["prompt"]),
    "truthful": ("truthfulqa", ["Question", "Best Answer"]),
}
pytestmark = [pytest.mark.real, pytest.mark.skipif(not DATA, reason="PLUMBLINE_TEST_DATA is not set")]


def rows(name: str) -> list[dict[str, str]]:
    with gzip.open(Path(DATA) / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def index() -> Index:
    sets = [EvaluationSet(name=name, path=file, fields=fields) for name, (file, fields) in SETS.items()]
    files = {file: [Path(DATA) / "eval" / f"{file}.jsonl.gz"] for file, _ in SETS.values()}
    return build_index(ContaminationConfig(sets=sets), files)


@pytest.fixture(scope="module")
def clean() -> list[str]:
    """500 documents: encyclopaedia and textbook in Chinese, web pages and the beginnings of books in English."""
    texts = [row["text"] for row in rows("web/c4_demo")[:150]]
    texts += [row["text"][:20_000] for row in rows("pretrain/classic_books_en")[:100]]
    return texts + [row["text"] for row in rows("pretrain/zhwiki_paragraphs")[:250]]


def test_none_of_500_clean_documents_is_found(index: Index, clean: list[str]) -> None:
    assert len(clean) == 500
    assert index.check(from_strings(clean)) == [None] * 500


@pytest.mark.parametrize(("name", "seed"), [("mmlu", 0), ("ceval", 1), ("ifeval", 2), ("truthful", 3)])
def test_25_of_25_planted_items_are_found(index: Index, clean: list[str], name: str, seed: int) -> None:
    draw = random.Random(seed)
    file, fields = SETS[name]
    least = 10 if name == "ceval" else 45  # characters: at least the shortest item that is searched for
    items = [row for row in enumerate(rows(f"eval/{file}"), start=1) if len(row[1][fields[0]]) >= least]
    chosen = draw.sample(items, 25)
    texts = []
    for _, row in chosen:
        text, planted = draw.choice(clean), row[fields[0]]
        at = draw.randint(0, len(text))
        texts.append(f"{text[:at]}\n{draw.choice((str.upper, str.lower, str))(planted)}\n{text[at:]}")
    hits = index.check(from_strings(texts))
    for (line, row), text, hit in zip(chosen, texts, hits, strict=True):
        assert hit is not None, row[fields[0]]
        assert (name, f"{file}.jsonl.gz:{line}") in hit.found
        assert text[hit.start : hit.end].startswith(hit.text)
