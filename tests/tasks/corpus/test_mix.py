"""Split and mix: by content, in the shares asked for."""

from collections import Counter
from pathlib import Path

import numpy as np
from catalogues import catalogue, document, settings

from configs.schema.corpus import CorpusConfig
from tasks.corpus.document import Document, folded_digest, share_of
from tasks.corpus.mix import mix, split_heldout


def documents(count: int, source: int = 0) -> list[Document]:
    return [document(f"d{n:04d}", f"{source} {n}", source) for n in range(count)]


def sides(folder: Path, rows: list[Document], config: CorpusConfig, seed: int = 0) -> tuple[set[str], set[str]]:
    made = catalogue(folder, rows, config)
    train, heldout = split_heldout(made, config, seed)
    return set(made.ids(train)), set(made.ids(heldout))


def mixed(folder: Path, rows: list[Document], config: CorpusConfig) -> list[tuple[int, str]]:
    made = catalogue(folder, rows, config)
    chosen = np.arange(len(made))[mix(made, np.arange(len(made)), config, 0).documents]
    return list(zip(made.source[chosen].tolist(), made.ids(chosen), strict=True))


def test_side_depends_on_content_and_seed_alone(tmp_path: Path) -> None:
    config = settings(heldout=0.1)
    train, heldout = sides(tmp_path, documents(2000), config)
    assert len(train) + len(heldout) == 2000
    assert 150 < len(heldout) < 250  # 10 %, five standard deviations are 67
    fewer_train, fewer_heldout = sides(tmp_path, documents(500), config)
    assert fewer_heldout == {id_ for id_ in heldout if id_ < "d0500"}
    assert sides(tmp_path, documents(2000), config, seed=1)[1] != heldout
    assert fewer_train


def test_source_may_go_to_one_side(tmp_path: Path) -> None:
    config = settings("train", "heldout")
    made = catalogue(tmp_path, documents(50) + documents(20, source=1), config)
    train, heldout = split_heldout(made, config, 0)
    assert set(made.source[train].tolist()) == {0}
    assert set(made.source[heldout].tolist()) == {1}
    assert (len(train), len(heldout)) == (50, 20)


def test_small_corpus_still_holds_one_document_out(tmp_path: Path) -> None:
    config = settings(heldout=0.001)
    train, heldout = sides(tmp_path, documents(3), config)
    assert (len(train), len(heldout)) == (2, 1)
    least = min(documents(3), key=lambda row: share_of(folded_digest(row.text), "heldout", 0))
    assert heldout == {least.id}
    assert len(sides(tmp_path, documents(1), config)[0]) == 1


def test_epochs_repeat_whole_and_sample_the_fraction(tmp_path: Path) -> None:
    config = settings("hash", "hash", epochs=(2.5, 0.25))
    times = Counter(mixed(tmp_path, documents(1000) + documents(1000, source=1), config))
    assert {times[0, f"d{n:04d}"] for n in range(1000)} == {2, 3}
    assert {times[1, f"d{n:04d}"] for n in range(1000)} == {0, 1}
    assert 2420 < sum(n for (source, _), n in times.items() if source == 0) < 2580
    assert 180 < sum(n for (source, _), n in times.items() if source == 1) < 320


def test_order_is_shuffled_by_seed_and_free_of_reading_order(tmp_path: Path) -> None:
    once = mixed(tmp_path, documents(200), settings())
    assert once == mixed(tmp_path, documents(200)[::-1], settings())
    assert once != sorted(once)
