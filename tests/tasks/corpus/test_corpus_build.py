"""The corpus stage on labelled documents, and what holds for any documents."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.build import build_corpus
from tasks.corpus_shards import read_shards
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live

WORDS = [
    "the",
    "river",
    "mill",
    "and",
    "old",
    "boat",
    "of",
    "a",
    "green",
    "hill",
    "with",
    "some",
    "that",
    "have",
    "seen",
]


def prose(seed: int, words: int = 40) -> str:
    """Words in a random order, that no filter minds and that is no duplicate of another seed's."""
    draw = random.Random(seed)
    return (
        " ".join(
            f"{draw.choice(WORDS)} {draw.choice('bcdfgl')}{draw.choice('aeiou')}{draw.choice('mnrst')}e"
            for _ in range(words // 2)
        )
        + "."
    )


def changed(text: str) -> str:
    return text.rsplit(" ", 1)[0] + " otherwise."


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Run the stage over rows (or bytes) of one or more sources."""

    def run(
        *contents: list[dict[str, Any]] | bytes,
        name: str = "out",
        suffix: str = "jsonl",
        source: dict[str, Any] | None = None,
        **config: Any,
    ):
        sources, files = [], {}
        for number, content in enumerate(contents):
            path = tmp_path / f"{name}-{number}.{suffix}"
            path.write_bytes(content if isinstance(content, bytes) else jsonl(content))
            key = f"raw:{number}"
            sources.append(TextSource(name=f"s{number}", path=key, **(source or {})))
            files[key] = [path]
        out, work = tmp_path / name, tmp_path / f"{name}-work"
        out.mkdir()
        work.mkdir()
        settings = CorpusConfig(**{"sources": sources, "seed": 0, **config})
        return out, build_corpus(settings, Inputs(sources=files), out, Live(work))

    return run


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def everything(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def kept_rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for split in ("train", "heldout") for row in read_shards(out, split)}


def rejected(out: Path) -> dict[str, tuple[str, str | None]]:
    rows = pq.read_table(out / "rejects").to_pylist()
    return {row["id"]: (row["reason"], row["duplicate_of"]) for row in rows}


def test_labelled_documents_meet_their_fate(build) -> None:
    good = [{"id": f"good{n}", "text": prose(n), "metadata": {"nats": 1.5, "n": n}} for n in range(24)]
    labelled = [
        {"id": "copy", "text": good[3]["text"].upper() + "  \r\n"},
        {"id": "almost", "text": changed(good[4]["text"])},
        {"id": "short", "text": "The fox."},
        {"id": "digits", "text": "The 1234567890 of 1234567890 and 1234567890 and 1234567890."},
        {
            "id": "mail",
            "text": prose(50) + " Write to bo@example.com or (415) 555-0132.",
            "metadata": {"nats": 2.0, "n": 50},
        },
        {"id": "chat", "text": prose(51), "metadata": {"messages": turns("Hello <|im_end|>", "Hello.")}},
    ]
    lines = (
        jsonl(good)
        + b'{"text": "cut\n'
        + jsonl(labelled)
        + b'{"text": ""}\n{"text": 5}\n{"words": "x"}\n{"text": "a", "metadata": []}\n'
    )
    out, metrics = build(lines)
    assert rejected(out) == {
        "short": ("too_short", None),
        "digits": ("few_letters", None),
        "good3": ("exact_duplicate", "copy"),
        "good4": ("near_duplicate", "almost"),
    }
    kept = kept_rows(out)
    assert kept["mail"]["text"].endswith("Write to [email] or [phone].")
    assert kept["mail"]["metadata"] == {"n": 50}
    assert kept["good0"]["metadata"] == {"nats": 1.5, "n": 0}
    assert kept["chat"]["metadata"] == labelled[5]["metadata"]
    assert (kept["good0"]["source"], kept["good0"]["language"]) == ("s0", "en")
    quarantine = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["file"], row["line"]) for row in quarantine] == [
        ("out-0.jsonl", line) for line in (25, 32, 33, 34, 35)
    ]
    assert [row["error"].split(":")[0] for row in quarantine] == [
        "invalid JSON", "'text' is empty", "'text' is not text but int", "no 'text'",
        "'metadata' is not an object but list",
    ]  # fmt: skip
    assert quarantine[0]["text"] == '{"text": "cut'
    counted = {"documents_in": 35, "kept": 26, "duplicates": 2, "rejected": 2, "quarantined": 5, "pii_masked": 2}
    assert metrics.items() >= counted.items()


def test_survivor_is_the_first_source_then_the_smallest_id(build) -> None:
    text, other = prose(1), prose(2)
    first = [{"id": "z", "text": text}, {"id": "m", "text": changed(other)}, {"id": "fill", "text": prose(9)}]
    second = [{"id": "a", "text": text}, {"id": "b", "text": other}]
    out, _ = build(first, second)
    assert rejected(out) == {"a": ("exact_duplicate", "z"), "b": ("near_duplicate", "m")}


def test_ids_that_come_again_in_a_source_get_a_number(build) -> None:
    rows = [{"id": "x", "text": prose(n)} for n in range(3)] + [{"id": "y", "text": prose(9)}]
    out, metrics = build(rows, [{"id": "x", "text": prose(4)}], name="once")
    assert metrics["repeated_ids"] == 2
    kept = [row for split in ("train", "heldout") for row in read_shards(out, split)]
    assert sorted((row["source"], row["id"]) for row in kept) == [
        ("s0", "x"), ("s0", "x~2"), ("s0", "x~3"), ("s0", "y"), ("s1", "x"),
    ]  # fmt: skip
    again, _ = build(rows[::-1], [{"id": "x", "text": prose(4)}], name="again")
    assert everything(out) == everything(again)


def test_sources_that_keep_near_duplicates_lose_only_exact_ones(build) -> None:
    rows = [{"id": "a", "text": prose(1)}, {"id": "b", "text": changed(prose(1))}, {"id": "c", "text": prose(1)}]
    out, metrics = build(rows, source={"near_duplicates": "keep"})
    assert rejected(out) == {"c": ("exact_duplicate", "a")}
    assert metrics["kept"] == 2


def test_a_source_may_be_kept_from_the_quality_filters(build) -> None:
    rows = [{"id": "short", "text": "42."}, {"id": "long", "text": prose(1)}]
    assert rejected(build(rows, name="dropped")[0]) == {"short": ("too_short", None)}
    assert rejected(build(rows, name="kept", source={"quality": "keep"})[0]) == {}


@pytest.mark.parametrize(("pii", "kept", "masked"), [("mask", 3, 1), ("drop", 2, 0), ("keep", 3, 0)])
def test_pii_setting(build, pii: str, kept: int, masked: int) -> None:
    rows = [
        {"id": "a", "text": prose(1) + " bo@example.com"},
        {"id": "b", "text": prose(2)},
        {"id": "c", "text": prose(3)},
    ]
    out, metrics = build(rows, pii=pii)
    assert (metrics["kept"], metrics["pii_masked"]) == (kept, masked)
    assert rejected(out) == ({"a": ("pii_email", None)} if pii == "drop" else {})
    if pii == "keep":
        assert "bo@example.com" in kept_rows(out)["a"]["text"]


def test_long_documents_are_split_and_conversations_are_not(build) -> None:
    text = "\n\n".join(prose(n) for n in range(10))
    chat = {
        "id": "chat",
        "text": "\n\n".join(prose(n) for n in range(20, 30)),
        "metadata": {"messages": turns("Hi", "Hi.")},
    }
    out, metrics = build([{"id": "long", "text": text, "metadata": {"nats": 1.0}}, chat], split_characters=600)
    kept = kept_rows(out)
    pieces = [kept[id_] for id_ in sorted(kept) if id_.startswith("long#")]
    assert "\n\n".join(piece["text"] for piece in pieces) == text
    assert [piece["metadata"] for piece in pieces] == [{"piece": n, "pieces": len(pieces)} for n in range(len(pieces))]
    assert "chat" in kept
    assert metrics["documents_in"] == len(pieces) + 1


def test_formats_give_the_same_corpus(build, tmp_path: Path) -> None:
    rows = [{"id": f"d{n}", "text": prose(n), "metadata": {"n": n}} for n in range(8)]
    plain, _ = build(rows, name="plain")
    zipped, _ = build(gzip.compress(jsonl(rows)), name="zipped", suffix="jsonl.gz")
    table = pa.table(
        {
            "id": [r["id"] for r in rows],
            "text": [r["text"] for r in rows],
            "metadata": [json.dumps(r["metadata"]) for r in rows],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    columns, _ = build((tmp_path / "t.parquet").read_bytes(), name="columns", suffix="parquet")
    assert everything(plain) == everything(zipped) == everything(columns)
    text, _ = build(prose(1).encode(), prose(2).encode(), name="text", suffix="txt", source={"text_field": "body"})
    assert {row["metadata"]["file"] for row in kept_rows(text).values()} == {"text-0.txt", "text-1.txt"}


def test_max_documents_counts_readable_rows(build) -> None:
    lines = b"broken\n" + jsonl([{"id": f"d{n}", "text": prose(n)} for n in range(20)])
    out, metrics = build(lines, source={"max_documents": 5})
    assert sorted(kept_rows(out)) == [f"d{n}" for n in range(5)]
    assert metrics["quarantined"] == 1


def test_epochs_shares_and_shards(build) -> None:
    rows = [{"id": f"d{n:03d}", "text": prose(n)} for n in range(60)]
    out, metrics = build(rows, source={"epochs": 2.0}, shard_documents=50)
    train = list(read_shards(out, "train"))
    assert len(train) == metrics["training"] == 2 * (60 - metrics["heldout"])
    assert len(list((out / "train").iterdir())) == 3
    report = json.loads((out / "report.json").read_text())
    assert report["mix"]["train"][0]["documents"] == len(train)
    assert report["mix"]["train"][0]["character_share"] == 1.0


def test_truncated_gzip_and_missing_files_stop_the_stage(build) -> None:
    whole = gzip.compress(jsonl([{"text": prose(n)} for n in range(200)]))
    with pytest.raises(BadData, match=r"cut-0\.jsonl\.gz: the gzip file is truncated"):
        build(whole[: len(whole) // 2], name="cut", suffix="jsonl.gz")
    with pytest.raises(BadData, match=r"no file matches 'raw:none'; set corpus\.sources\.path"):
        build([], name="none", sources=[TextSource(name="s", path="raw:none")])


def test_too_many_malformed_rows_show_the_first_lines(build) -> None:
    lines = jsonl([{"text": prose(n)} for n in range(3)]) + b"bad\n" * 2
    with pytest.raises(BadData, match=r"2 of 5 rows .* corpus\.max_malformed=0\.2: out-0\.jsonl:4: invalid JSON"):
        build(lines)


def test_missing_text_field_names_the_keys(build) -> None:
    with pytest.raises(
        BadData, match=r"all 2 rows have no 'text'; the keys are body, title; set corpus\.sources\.text_field"
    ):
        build([{"title": "a", "body": prose(1)}, {"title": "b", "body": prose(2)}])


def test_conversations_keep_their_turns_and_show_the_filters_a_transcript(build) -> None:
    alpaca = [
        {"instruction": prose(n), "input": "of bo@example.com " if n == 1 else "", "output": prose(n + 50) + " \r\n"}
        for n in range(8)
    ]
    out, metrics = build([*alpaca, {"instruction": "Say it.", "input": "", "output": ""}], source={"layout": "alpaca"})
    rows = {row["text"].split("\n")[0]: row for row in kept_rows(out).values()}
    assert rows[prose(0)]["text"] == f"{prose(0)}\n{prose(50)}"
    assert rows[prose(0)]["metadata"]["messages"] == turns(prose(0), prose(50))
    assert rows[prose(1)]["text"] == f"{prose(1)}\n\nof [email]\n{prose(51)}"
    assert rows[prose(1)]["metadata"]["messages"] == turns(f"{prose(1)}\n\nof [email]", prose(51))
    assert (metrics["quarantined"], metrics["pii_masked"]) == (1, 1)


def test_messages_layout_and_turns_that_are_none(build) -> None:
    good = [{"messages": turns(prose(n), prose(n + 50))} for n in range(8)]
    out, metrics = build([*good, {"messages": [{"role": "robot", "content": "Hi"}]}], source={"layout": "messages"})
    assert [row["metadata"]["messages"] for row in kept_rows(out).values() if row["text"].startswith(prose(3))] == [
        good[3]["messages"]
    ]
    assert "turn 1 needs a role of system, user, assistant" in (out / "quarantine.jsonl").read_text()
    assert metrics["kept"] == 8


def turns(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def test_empty_results_name_the_setting_to_change(build) -> None:
    with pytest.raises(BadData, match=r"too_short dropped 2; change corpus\.filters\.min_characters"):
        build([{"text": "one"}, {"text": "two"}], name="short")
    with pytest.raises(BadData, match="hold no rows"):
        build(b"\n\n", name="blank")
    with pytest.raises(BadData, match="all are held out or left out"):
        build([{"text": prose(1)}], name="held", source={"split": "heldout"})


@st.composite
def corpora(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with ids: distinct texts, exact copies, near copies, short ones, ones with an address."""
    rows = []
    for number in range(draw(st.integers(3, 14))):
        seed = draw(st.integers(0, 5))
        kind = draw(st.sampled_from(["plain", "plain", "upper", "near", "short", "mail"]))
        text = {
            "plain": prose(seed), "upper": prose(seed).upper(), "near": changed(prose(seed)),
            "short": f"No {seed}.", "mail": prose(seed) + f" x{number % 3}@example.com",
        }[kind]  # fmt: skip
        rows.append({"id": f"d{number}", "text": text, "metadata": {"nats": 1.0}})
    return rows + [{"id": f"own{n}", "text": prose(100 + n)} for n in range(3)]


@given(rows=corpora(), chance=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_rows_gives_the_same_bytes_and_all_are_accounted_for(
    rows: list[dict[str, Any]], chance: random.Random, build, tmp_path: Path
) -> None:
    label = f"run{len(list(tmp_path.iterdir()))}"
    once, metrics = build(rows, name=f"{label}-a")
    again, _ = build(chance.sample(rows, len(rows)), name=f"{label}-b")
    assert everything(once) == everything(again)
    kept, dropped = kept_rows(once), rejected(once)
    assert kept.keys() | dropped.keys() == {row["id"] for row in rows}
    assert not kept.keys() & dropped.keys()
    assert metrics["documents_in"] == len(rows) == len(kept) + len(dropped)
    for reason, survivor in dropped.values():
        assert (reason in ("exact_duplicate", "near_duplicate")) == (survivor is not None)
        assert survivor is None or survivor in kept or dropped[survivor][0] == "near_duplicate"
    folded = [" ".join(row["text"].lower().split()) for row in kept.values()]
    assert len(set(folded)) == len(folded)
