"""Overlap with evaluation items: against brute force, whatever the path, the batches and the copy of the index."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.contamination import ContaminationConfig, EvaluationSet
from tasks.corpus.contamination import Found, Hit, Index, build_index, report
from tasks.corpus.contamination.words import folded_words
from tasks.corpus.neardup import kernel, portable
from tasks.corpus.neardup.hashing import CHARACTER, finish
from tasks.corpus.neardup.texts import buffers, from_strings
from tasks.corpus.words import HAS_UNSPACED
from tasks.failures import BadData

QUESTION = (
    "A train leaves the station at nine in the morning with forty passengers, and at every stop eleven more get on; "
    "how many are aboard after the fourth stop, when seven have left?"
)
CHINESE = "肉牛屠宰以后，胴体的哪一个部位的肉质最好，适合用来制作高档的牛排和烤肉呢？"
FILLER = "The old mill stands by the river, and its wheel has not turned since the winter of the great flood. "

Build = Callable[..., Index]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def make(rows: list[dict[str, Any]], fields: tuple[str, ...] = ("question",), **values: Any) -> Index:
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        own = {name: values.pop(name) for name in ("id_field",) if name in values}
        one = EvaluationSet(name="quiz", path="p", fields=list(fields), **own)
        return build_index(ContaminationConfig(sets=[one], **values), {"p": [path]})

    return make


def check(index: Index, *texts: str) -> list[Hit | None]:
    return index.check(from_strings(list(texts)))


@pytest.mark.parametrize(
    "planted",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace(" ", "\n"),
        QUESTION.replace(",", " — ").replace("?", "").replace(";", "…"),
        "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in QUESTION),
        " ".join(QUESTION.split()[:13]),
        " ".join(QUESTION.split()[-13:]),
        CHINESE,
        CHINESE.replace("，", "\n"),
        CHINESE[:20],
    ],
)
def test_planted_items_are_found_with_their_span(build: Build, planted: str) -> None:
    index = build([{"question": QUESTION}, {"question": CHINESE}])
    text = FILLER * 3 + planted + "\n" + FILLER
    [hit] = check(index, text)
    assert hit is not None
    assert folded_words(text[hit.start : hit.end]) == folded_words(planted)
    assert text[hit.start : hit.end].startswith(hit.text)
    assert hit.item == ("set.jsonl:2" if planted[0] in CHINESE else "set.jsonl:1")
    assert 0 < hit.share <= 1


def test_less_than_an_ngram_is_no_overlap(build: Build) -> None:
    index = build([{"question": QUESTION}, {"question": CHINESE}])
    words = QUESTION.split()
    texts = [" ".join(words[start : start + 12]) + "; whereas " + FILLER for start in range(len(words) - 11)]
    broken = " ".join(word if at % 12 else "other" for at, word in enumerate(words))
    assert check(index, *texts, broken, CHINESE[:10], FILLER, "", "!!!") == [None] * (len(texts) + 5)


def test_words_are_counted_as_people_count_them(build: Build) -> None:
    item = "Ann's can of soda costs $0.50 and Ben's costs $1.25, so what does it cost Zoë's mother-in-law to buy two?"
    index = build([{"question": item}])
    words = item.split()
    texts = [" ".join(words[start : start + 12]) for start in range(len(words) - 11)]
    assert check(index, *texts) == [None] * len(texts)
    assert all(check(index, *(" ".join(words[start : start + 13]) for start in range(len(words) - 12))))


def test_formulas_without_spaces_are_searched_for(build: Build) -> None:
    item = r"求$xy=\ln y$在$P=\left(\frac{1}{\mathrm{e}},\mathrm{e}\right)$点的曲率半径____"
    assert check(build([{"question": item}]), f"题：{item}。")[0] is not None
    assert check(build([{"question": "x^2+3x+2=y^2+5y+6+z^2+4z+7"}]), "so x^2+3x+2=y^2+5y+6+z^2+4z+7.")[0] is not None


def test_short_items_as_a_whole_and_too_short_ones_listed(build: Build) -> None:
    index = build([{"question": "Which planet of these is the hottest?"}, {"question": "Two plus two"}])
    [fact] = index.sets
    assert (fact.items, fact.too_short) == (2, ["set.jsonl:2"])
    found = check(index, "Tell me: which planet of these is the hottest", "which planet of these is the coldest")
    assert [hit and hit.share for hit in found] == [1.0, None]
    assert check(index, "two plus two") == [None]


def test_choices_are_found_plain_and_lettered_and_not_alone(build: Build) -> None:
    row = {
        "question": "Best metal?",
        "choices": {"text": ["iron ore from the north sea", "pure tin", "old gold coins"]},
    }
    index = build([row], ("question", "choices.text"))
    choices = row["choices"]["text"]
    plain = "\n".join(("Best metal?", *choices))
    lettered = "Best metal?\n" + "\n".join(f"{letter}. {one}" for letter, one in zip("ABC", choices, strict=True))
    assert all(check(index, FILLER + plain, FILLER + f"Question: {lettered}\nAnswer: B"))
    assert check(index, FILLER + choices[0], "Best metal? " + FILLER) == [None, None]


def test_common_phrases_are_left_out_and_counted(build: Build) -> None:
    order = "Answer the following question with one word and explain each step of your answer in plain English please"
    rows = [{"question": f"{order}: {number} {FILLER[number:60]}"} for number in range(30)]
    rows[5]["question"] += QUESTION
    index = build(rows)
    assert index.sets[0].common_ngrams >= 6
    assert check(index, order) == [None]
    assert [hit and hit.item for hit in check(index, QUESTION)] == ["set.jsonl:6"]
    assert build(rows, common=30).check(from_strings([order]))[0] is not None


def test_rule_of_counts_and_shares(build: Build) -> None:
    words = QUESTION.split()
    texts = [" ".join(words[: 12 + count]) for count in range(len(words) - 11)]
    total = len(words) - 12
    for setting, least in (
        ({"min_ngrams": 5}, 5),
        ({"min_share": 0.5}, (total + 1) // 2),
        ({"min_ngrams": 999}, total),
    ):
        found = check(build([{"question": QUESTION}], **setting), *texts)
        assert [hit.ngrams if hit else 0 for hit in found] == [
            count if count >= least else 0 for count in range(len(texts))
        ]


def test_item_found_most_of_is_named_and_all_are_counted(build: Build) -> None:
    half = " ".join(QUESTION.split()[:16])
    index = build([{"question": half, "n": 7}, {"question": QUESTION, "n": 8}], id_field="n")
    found = Found()
    for number, hit in enumerate(check(index, FILLER, QUESTION, half)):
        if hit is not None:
            found.add(f"d{number}", "web", hit)
    [one] = report(index, found)
    assert (one.items, one.looked_for, one.found, one.documents) == (2, 2, ["7", "8"], 2)
    assert [(example.document, example.item) for example in one.examples] == [("d1", "8"), ("d2", "7")]


def test_findings_of_parts_merge_in_any_order(build: Build) -> None:
    index = build([{"question": f"{QUESTION} {number} {CHINESE}"} for number in range(3)], common=30)
    texts = [f"{number} {QUESTION}" for number in range(50)]
    parts = [Found(), Found(), Found()]
    whole = Found()
    for number, hit in enumerate(check(index, *texts)):
        assert hit is not None
        parts[number % 3].add(f"d{number:02d}", "web", hit)
        whole.add(f"d{number:02d}", "web", hit)
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = Found()
        for part in order:
            merged.merge(Found.from_json(json.loads(json.dumps(parts[part].as_json()))))
        assert merged.as_json() == whole.as_json()


def test_saved_index_gives_the_same(build: Build, tmp_path: Path) -> None:
    index = build([{"question": QUESTION}, {"question": CHINESE}, {"question": "no"}], min_share=0.1)
    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index")
    texts = [QUESTION, CHINESE, FILLER, QUESTION[:90]]
    assert check(again, *texts) == check(index, *texts)
    assert again.sets == index.sets
    path = tmp_path / "index" / "index.json"
    path.write_text(path.read_text().replace('"version": ', '"version": 9'))
    with pytest.raises(BadData, match="build it again"):
        Index.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([{"question": "Why?"}], ("question",), "none of its 1 items can be searched for: 1 have fewer"),
        ([{"question": QUESTION}] * 11, ("question",), "11 are made of n-grams that more than common=10"),
        ([], ("question",), "holds no items"),
        ([{"text": QUESTION}], ("question",), "line 1: no text in question; its keys: text"),
        ([{"question": QUESTION}], ("question", "choices"), "no item has text in field 'choices'"),
        ([{"question": {"stem": QUESTION}}], ("question",), "such as question.stem"),
    ],
)
def test_sets_that_search_for_nothing_are_refused(
    build: Build, rows: list[dict[str, Any]], fields: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadData, match=message):
        build(rows, fields)


def test_unsound_rows_missing_files_and_contradictions(build: Build, tmp_path: Path) -> None:
    one = EvaluationSet(name="quiz", path="p", fields=["question"])
    (tmp_path / "broken.jsonl").write_text('{"question": "a"}\n{"question": \n')
    with pytest.raises(BadData, match="line 2"):
        build_index(ContaminationConfig(sets=[one]), {"p": [tmp_path / "broken.jsonl"]})
    with pytest.raises(BadData, match="no file matches 'p'"):
        build_index(ContaminationConfig(sets=[one]), {})
    with pytest.raises(ValueError, match="shortest=14"):
        ContaminationConfig(shortest=14)
    with pytest.raises(ValueError, match="quiz"):
        ContaminationConfig(sets=[one, one])


# Few different words and characters, so that runs of them repeat
WORDS = st.lists(
    st.sampled_from(["a", "B", "cc", "é", "e\u0301", "，", "中", "文", "ﾊ", "\0", "x_y", "ＡＢ", "𠀀", "😀", "ß"])
)
TEXTS = st.lists(WORDS.map(" ".join) | WORDS.map("".join) | st.text(max_size=30), min_size=1, max_size=6)


@given(st.text() | WORDS.map("".join))
@settings(max_examples=300)
def test_folded_words_are_the_words_of_the_engine(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    hashed, _ = portable.words(*buffers(from_strings([text])))
    expected = []
    for word in folded_words(text):
        value = 0
        for character in word:
            value = (value * CHARACTER + ord(character)) % 2**64
        expected.append(value)
    assert hashed.tolist() == finish(portable.np.array(expected, dtype=portable.np.uint64)).tolist()
    starts, ends = portable.word_places(text)
    pieces = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    assert [folded_words(piece) for piece in pieces] == [[word] for word in folded_words(text)]


@given(TEXTS, TEXTS, st.integers(2, 5), st.booleans(), st.integers(1, 4))
@settings(max_examples=150)
def test_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory, items: list[str], texts: list[str], ngram: int, small: bool, step: int
) -> None:
    items = [text for item in items if (text := item.encode("utf-8", "ignore").decode()).strip()]
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    expected = [set(runs(item, ngram)) for item in items]
    if not any(expected):
        return
    path = tmp_path_factory.mktemp("sets") / "set.jsonl"
    path.write_text("".join(json.dumps({"question": item}) + "\n" for item in items), encoding="utf-8")
    one = EvaluationSet(name="quiz", path="p", fields=["question"], ngram=ngram)
    sizes = {"ngram": ngram, "ngram_characters": ngram, "shortest": 2, "shortest_characters": 2, "common": 100}
    index = build_index(ContaminationConfig(sets=[one], **sizes), {"p": [path]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.corpus.contamination.find.path_for", lambda size: portable if small else kernel)
        patch.setattr("tasks.corpus.contamination.find.ROOM", 3)
        hits = [hit for at in range(0, len(texts), step) for hit in check(index, *texts[at : at + step])]
    for text, hit in zip(texts, hits, strict=True):
        words = folded_words(text)
        inside = {
            tuple(words[at : at + size]) for size in range(2, 2 * ngram + 1) for at in range(len(words) - size + 1)
        }
        shared = {f"set.jsonl:{at + 1}": len(grams & inside) for at, grams in enumerate(expected) if grams & inside}
        assert (set() if hit is None else {item for _, item in hit.found}) == set(shared)
        if hit is not None:
            assert hit.ngrams == max(shared.values()) == shared[hit.item]


def runs(item: str, ngram: int) -> list[tuple[str, ...]]:
    """N-grams of an item by the rule of the docs, one start at a time; the shortest item has two words."""
    chunks: list[list[str]] = []
    for piece in item.split():
        fresh = True
        for word in folded_words(piece):
            single = HAS_UNSPACED.match(word) is not None or ord(word[0]) >= 0x20000
            if fresh or single:
                chunks.append([])
            chunks[-1].append(word)
            fresh = single
    words = folded_words(item)
    if 2 * sum(HAS_UNSPACED.match(word) is not None or ord(word[0]) >= 0x20000 for word in words) > len(words):
        chunks = [[word] for word in words]
    whole = [word for chunk in chunks for word in chunk]
    assert whole == words
    found = []
    for first, chunk in enumerate(chunks):
        for skipped in range(len(chunk)):
            run = [word for one in chunks[first : first + ngram] for word in one][skipped:]
            if len(run) >= 2 * ngram or first + ngram <= len(chunks):
                found.append(tuple(run[: 2 * ngram]))
    if not found and (len(chunks) >= 2 or len(words) >= 4):
        found.append(tuple(words))
    return found


def test_long_documents_across_blocks(build: Build) -> None:
    index = build([{"question": QUESTION}])
    for before in range(2030, 2075):
        text = "w " * before + QUESTION
        data, offsets = buffers(from_strings([text, text]))
        table = index.table
        rows = []
        for path in (kernel, portable):
            found = portable.np.empty((3, 200), dtype=portable.np.int64)
            count = path.find_runs(data, offsets, table.sizes, table.bits, table.buckets, table.keys, found)
            rows.append(found[:, :count].tolist())
        assert rows[0] == rows[1]
        words = len(QUESTION.split()) - 12
        assert rows[0][0] == [0] * words + [1] * words
        assert rows[0][1] == [*range(before, before + words)] * 2
