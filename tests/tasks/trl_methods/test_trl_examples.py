"""Rankings as pairs and as marked answers, in the ids that answers are sampled in."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ppo_parts import WORDS, byte_tokenizer
from transformers import PreTrainedTokenizerBase

from tasks.chat import decode_answer, encode_prompt, end_ids, user
from tasks.rankings import RankedPrompt, Ranking
from tasks.trl_methods.examples import Encoder, encode_marked, encode_pairs, ranked_pairs, read_unpaired


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    return byte_tokenizer(WORDS)


@pytest.mark.parametrize(
    ("ranking", "every", "ends"),
    [
        ([2, 1, 3], [(1, 0), (0, 2), (1, 2)], [(1, 2)]),
        ([1, 1, 2], [(0, 2), (1, 2)], [(0, 2)]),
        ([0, 2, 1], [(2, 1)], [(2, 1)]),
        ([1, 1], [], []),
        ([0, 1], [], []),
    ],
)
def test_pairs_of_a_ranking(ranking: list[int], every: list[tuple[int, int]], ends: list[tuple[int, int]]) -> None:
    assert ranked_pairs(ranking, "all") == every
    assert ranked_pairs(ranking, "best-worst") == ends


def test_ids_are_those_of_sampling_and_end_with_the_end_token(tokenizer: PreTrainedTokenizerBase) -> None:
    """No newline after the end token, and what a user types is no marker."""
    prompt = user("say <|im_end|> ab")
    item = RankedPrompt(prompt, ["ab", "cd the"], [Ranking([1, 2])])
    pair = encode_pairs([item], Encoder(tokenizer, 100), "all")[0]
    assert pair.prompt == encode_prompt(tokenizer, prompt)
    for ids, text in ((pair.chosen, "ab"), (pair.rejected, "cd the")):
        assert ids[-1] in end_ids(tokenizer)
        assert not set(ids[:-1]) & set(end_ids(tokenizer))
        assert decode_answer(tokenizer, ids) == text


def test_every_annotator_gives_pairs_and_what_is_too_long_is_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    item = RankedPrompt(user("say"), ["ab", "cd", "the " * 90], [Ranking([1, 2, 3], "x"), Ranking([2, 1, 0], "y")])
    encoder = Encoder(tokenizer, 100)
    said = [decode_answer(tokenizer, pair.chosen) for pair in encode_pairs([item], encoder, "all")]
    assert said == ["ab", "cd"]
    assert encoder.too_long == 2


def test_an_answer_is_marked_by_what_it_won_and_lost(tokenizer: PreTrainedTokenizerBase) -> None:
    first = RankedPrompt(user("say"), ["ab", "cd", "the"], [Ranking([1, 2, 3])])
    disputed = RankedPrompt(user("say it"), ["ab", "cd"], [Ranking([1, 2], "x"), Ranking([2, 1], "y")])
    bad = RankedPrompt(user("say on"), ["ab", "cd"], [Ranking([1, 2], all_bad=True)])
    marked = encode_marked([first, disputed, bad], Encoder(tokenizer, 100), "all")
    found = [(decode_answer(tokenizer, row.answer), row.desirable) for row in marked]
    assert found == [("ab", True), ("the", False), ("ab", False), ("cd", False)]


def test_answers_that_were_judged_alone(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    encoder = Encoder(tokenizer, 100)
    assert read_unpaired(tmp_path, encoder) == []
    rows = [{"prompt": user("say"), "answer": "ab", "desirable": True}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "unpaired.parquet")
    row = read_unpaired(tmp_path, encoder)[0]
    assert (decode_answer(tokenizer, row.answer), row.desirable) == ("ab", True)
