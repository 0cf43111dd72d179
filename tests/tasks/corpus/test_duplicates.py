"""Who survives, and what is left out because an earlier corpus has it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import catalogue, document, settings
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.corpus import DedupConfig
from tasks.corpus.catalogue import KEPT, Catalogue
from tasks.corpus.document import Document, folded_digest
from tasks.corpus.duplicates import drop_exact, drop_near, save_signatures
from tasks.corpus.engines import Here
from tasks.corpus.neardup.stored import Stored
from tasks.failures import BadData

CONFIG = DedupConfig()
WORDS = [f"w{number}" for number in range(100)]
LONG, SHORT = " ".join(WORDS), " ".join(WORDS[:90])


def near(
    documents: list[Document], config: DedupConfig = CONFIG, earlier: Stored | None = None, keep: tuple[int, ...] = ()
) -> tuple[list[str], dict[str, str]]:
    with TemporaryDirectory() as folder:
        made = catalogue(Path(folder), documents, settings("hash", "hash", "hash", keep=keep, dedup=config))
        drop_near(made, earlier or Stored([]), Here(), lambda done, total: None)
        return fates(made, "near_duplicate")


def exact(folder: Path, documents: list[Document], earlier: Stored | None = None) -> tuple[list[str], dict[str, str]]:
    made = catalogue(folder, documents, settings())
    drop_exact(made, earlier or Stored([]))
    return fates(made, "exact_duplicate")


def fates(made: Catalogue, reason: str) -> tuple[list[str], dict[str, str]]:
    """Ids that stay, and who stands for those that do not."""
    dropped = np.flatnonzero(made.reason != KEPT)
    assert all(made.reasons[code] == reason for code in made.reason[dropped])
    survivors = {made.id(place): made.id(int(made.survivor[place])) for place in dropped.tolist()}
    return made.ids(np.flatnonzero(made.kept)), survivors


def test_exact_duplicates_fold_case_and_space_and_keep_the_first(tmp_path: Path) -> None:
    documents = [document("a", "The  Fox\nruns"), document("b", "the fox runs"), document("c", "the fox ran")]
    assert exact(tmp_path, documents) == (["a", "c"], {"b": "a"})
    before = catalogue(tmp_path / "before", [document("earlier", "the FOX ran")], settings())
    save_signatures(before, tmp_path)
    earlier = Stored([tmp_path / "signatures" / "00000.parquet"])
    assert exact(tmp_path, documents, earlier) == (["a"], {"b": "a", "c": "earlier"})


@given(st.lists(st.sampled_from(["red", "Red", "blue", "green", "GREEN", "black"]), min_size=1, max_size=20))
def test_exactly_the_first_of_equal_documents_stays(texts: list[str]) -> None:
    documents = [document(f"d{number:02d}", text) for number, text in enumerate(texts)]
    with TemporaryDirectory() as folder:
        kept, dropped = exact(Path(folder), documents)
    folded = [text.lower() for text in texts]
    assert kept == [f"d{folded.index(text):02d}" for text in dict.fromkeys(folded)]
    assert all(folded[int(id_[1:])] == folded[int(first[1:])] for id_, first in dropped.items())


def test_cluster_is_joined_through_a_middle_document_and_its_first_stays() -> None:
    shifted = [" ".join(WORDS[start : start + 88]) for start in (0, 6, 12)]  # .84 to the next, .69 to the last
    documents = [document(name, text) for name, text in zip("acb", shifted, strict=True)]
    kept, dropped = near([*documents, document("d", " ".join(WORDS[50:]))], DedupConfig(threshold=0.8))
    assert (kept, dropped) == (["a", "d"], {"b": "a", "c": "a"})


def test_documents_that_are_not_compared_stay() -> None:
    assert near([document("a", LONG), document("b", SHORT, 1)], keep=(1,)) == (["a", "b"], {})


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


def test_the_best_by_a_field_stays(tmp_path: Path) -> None:
    documents = [document("a", SHORT, score=0.2), document("b", SHORT + " x", score=0.9), document("c", SHORT + " y")]
    assert near(documents, DedupConfig(survivor="best")) == (["b"], {"a": "b", "c": "b"})


def test_traditional_and_simplified_chinese_are_one_when_asked_for() -> None:
    pytest.importorskip("opencc")
    texts = ["人工智能是研究、开发用于模拟和扩展人的智能的理论、方法、技术及应用系统的一门新的技术科学",
             "人工智能是研究、開發用於模擬和擴展人的智能的理論、方法、技術及應用系統的一門新的技術科學"]  # fmt: skip
    documents = [document("simplified", texts[0]), document("traditional", texts[1])]
    assert near(documents)[1] == {}
    assert near(documents, DedupConfig(fold_chinese=True))[1] == {"traditional": "simplified"}


@given(st.permutations("abcdefgh"), st.sampled_from(("first", "longest")), st.booleans())
def test_exactly_one_of_each_cluster_survives(names: list[str], survivor: str, prefer_source: bool) -> None:
    config = DedupConfig(survivor=survivor, prefer_source=prefer_source)
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
        document("kept", "x y", 1),
    ]
    save_signatures(catalogue(tmp_path, rows, settings("hash", "hash", keep=(1,))), tmp_path)
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
