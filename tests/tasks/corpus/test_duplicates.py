"""Who survives, and what is left out because an earlier corpus has it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.corpus import DedupConfig
from tasks.corpus.document import Document, Reject, folded_digest
from tasks.corpus.duplicates import drop_exact, drop_near, save_signatures
from tasks.corpus.neardup.stored import Stored
from tasks.failures import BadData

CONFIG = DedupConfig()
WORDS = [f"w{number}" for number in range(100)]
LONG, SHORT = " ".join(WORDS), " ".join(WORDS[:90])


def document(id_: str, text: str, source: int = 0, compared: bool = True) -> Document:
    return Document(id_, text, source, {}, folded_digest(text), compared)


def near(
    documents: list[Document], config: DedupConfig = CONFIG, earlier: Stored | None = None
) -> tuple[list[str], dict[str, str | None]]:
    kept, dropped, _ = drop_near(sorted(documents, key=Document.order), config, lambda done, total: None, earlier)
    return [row.id for row in kept], fates(dropped, "near_duplicate")


def fates(dropped: list[Reject], reason: str) -> dict[str, str | None]:
    assert all(reject.reason == reason for reject in dropped)
    return {reject.document.id: reject.duplicate_of for reject in dropped}


def test_exact_duplicates_fold_case_and_space_and_keep_the_first() -> None:
    documents = [document("a", "The  Fox\nruns"), document("b", "the fox runs"), document("c", "the fox ran")]
    kept, dropped = drop_exact(documents)
    assert [row.id for row in kept] == ["a", "c"]
    assert fates(dropped, "exact_duplicate") == {"b": "a"}
    kept, dropped = drop_exact(documents, {folded_digest("the fox ran"): "earlier"})
    assert fates(dropped, "exact_duplicate") == {"b": "a", "c": "earlier"}


def test_cluster_is_joined_through_a_middle_document_and_its_first_stays() -> None:
    shifted = [" ".join(WORDS[start : start + 88]) for start in (0, 6, 12)]  # .84 to the next, .69 to the last
    documents = [document(name, text) for name, text in zip("acb", shifted, strict=True)]
    kept, dropped = near([*documents, document("d", " ".join(WORDS[50:]))], DedupConfig(threshold=0.8))
    assert (kept, dropped) == (["a", "d"], {"b": "a", "c": "a"})


def test_documents_that_are_not_compared_stay() -> None:
    assert near([document("a", LONG), document("b", SHORT, 1, compared=False)]) == (["a", "b"], {})


@pytest.mark.parametrize(
    ("survivor", "prefer_source", "stays"),
    [("first", True, "b"), ("first", False, "a"), ("longest", True, "c"), ("longest", False, "d")],
)
def test_survivor(survivor: str, prefer_source: bool, stays: str) -> None:
    longer = LONG + " and some more"
    documents = [document("b", SHORT), document("c", LONG), document("a", SHORT, 1), document("d", longer, 1)]
    config = DedupConfig(survivor=survivor, prefer_source=prefer_source)
    kept, dropped = near(documents, config)
    assert kept == [stays]
    assert dropped == dict.fromkeys({"a", "b", "c", "d"} - {stays}, stays)


@given(st.permutations("abcdefgh"), st.sampled_from(("first", "longest")), st.booleans())
def test_exactly_one_of_each_cluster_survives(names: list[str], survivor: str, prefer_source: bool) -> None:
    config = DedupConfig(survivor=survivor, prefer_source=prefer_source, threads=1)
    documents = [
        document(name, f"{LONG} {' '.join(WORDS[: number // 2])}" if number % 2 else f"own{number} text", number % 3)
        for number, name in enumerate(names)
    ]
    kept, dropped = near(documents, config)
    assert len(kept) == 5
    assert len(set(dropped.values())) == 1
    assert set(dropped.values()) <= set(kept)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    rows = [
        document("old", LONG),
        document("long", " ".join(f"v{n}" for n in range(3000))),
        document("kept", "x y", 1, False),
    ]
    save_signatures(rows, ["one", "two"], CONFIG, tmp_path)
    return tmp_path / "signatures" / "00000.parquet"


def test_new_documents_like_those_of_an_earlier_corpus_are_left_out(earlier: Path) -> None:
    assert pq.read_table(earlier).column_names == ["id", "source", "digest", "keys", "shingles", "sketch"]
    long = " ".join(f"v{n}" for n in range(100, 3000))  # its sketch holds 512 of 2,996 hashes
    half = " ".join(f"v{n}" for n in range(1500))
    new = [
        document("b", SHORT), document("a", SHORT + " end"), document("long2", long), document("half", half),
        document("p", " ".join(f"u{n}" for n in range(40))), document("q", " ".join(f"u{n}" for n in range(41))),
    ]  # fmt: skip
    kept, dropped = near(new, CONFIG, Stored([earlier]))
    assert kept == ["half", "p"]
    assert dropped == {"a": "old", "b": "old", "long2": "long", "q": "p"}
    assert Stored([earlier, earlier]).digests()[folded_digest("X  y")] == "kept"


def test_signatures_that_do_not_fit_say_what_to_change(earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"made with shingle=5 bands=26 rows=5, .*; set corpus\.dedup\.shingle"):
        near([document("a", LONG)], DedupConfig(shingle=4), Stored([earlier]))
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(
        BadData, match=r"other\.parquet: not the signatures of a corpus; correct corpus\.dedup\.against"
    ):
        near([document("a", LONG)], CONFIG, Stored([tmp_path / "other.parquet"]))
    earlier.write_bytes(earlier.read_bytes()[:-20])
    with pytest.raises(BadData, match="not a sound signature file"):
        near([document("a", LONG)], CONFIG, Stored([earlier]))
