"""Split and mix: by content, in the shares asked for."""

from collections import Counter

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.document import Document, folded_digest, share_of
from tasks.corpus.mix import mix, split_heldout


def documents(count: int, source: int = 0) -> list[Document]:
    return [Document(f"d{n:04d}", f"{source} {n}", source, {}, folded_digest(f"{source} {n}")) for n in range(count)]


def config(*sources: TextSource, heldout: float = 0.1) -> CorpusConfig:
    return CorpusConfig(sources=list(sources), seed=0, heldout=heldout)


def test_side_depends_on_content_and_seed_alone() -> None:
    settings = config(TextSource(name="a", path="a"))
    train, heldout = split_heldout(documents(2000), settings, 0)
    assert len(train) + len(heldout) == 2000
    assert 150 < len(heldout) < 250  # 10 %, five standard deviations are 67
    fewer_train, fewer_heldout = split_heldout(documents(500), settings, 0)
    assert {d.id for d in fewer_heldout} == {d.id for d in heldout if d.id < "d0500"}
    assert {d.id for d in split_heldout(documents(2000), settings, 1)[1]} != {d.id for d in heldout}
    assert fewer_train


def test_source_may_go_to_one_side() -> None:
    settings = config(TextSource(name="a", path="a", split="train"), TextSource(name="b", path="b", split="heldout"))
    train, heldout = split_heldout(documents(50) + documents(20, source=1), settings, 0)
    assert {d.source for d in train} == {0}
    assert {d.source for d in heldout} == {1}
    assert (len(train), len(heldout)) == (50, 20)


def test_small_corpus_still_holds_one_document_out() -> None:
    settings = config(TextSource(name="a", path="a"), heldout=0.001)
    train, heldout = split_heldout(documents(3), settings, 0)
    assert (len(train), len(heldout)) == (2, 1)
    assert heldout[0].digest == min((share_of(d.digest, "heldout", 0), d.digest) for d in documents(3))[1]
    assert len(split_heldout(documents(1), settings, 0)[0]) == 1


def test_epochs_repeat_whole_and_sample_the_fraction() -> None:
    settings = config(TextSource(name="a", path="a", epochs=2.5), TextSource(name="b", path="b", epochs=0.25))
    mixed = mix(documents(1000) + documents(1000, source=1), settings, 0)
    times = Counter((d.source, d.id) for d in mixed)
    assert {times[0, f"d{n:04d}"] for n in range(1000)} == {2, 3}
    assert {times[1, f"d{n:04d}"] for n in range(1000)} == {0, 1}
    assert 2420 < sum(n for (source, _), n in times.items() if source == 0) < 2580
    assert 180 < sum(n for (source, _), n in times.items() if source == 1) < 320


def test_order_is_shuffled_by_seed_and_free_of_reading_order() -> None:
    settings = config(TextSource(name="a", path="a"))
    once = [d.id for d in mix(documents(200), settings, 0)]
    assert once == [d.id for d in mix(documents(200)[::-1], settings, 0)]
    assert once != sorted(once)
    assert once != [d.id for d in mix(documents(200), settings, 1)]
