"""Checkers of answers, and greedy answering on a tiny model."""

from pathlib import Path

import pytest
from tiny_parts import POSITIONS, save_models

from tasks.answers import check, encode_prompts, instruction_following, words
from tasks.chat import load_tokenizer
from tasks.failures import BadConfig, BadData
from tasks.models import load_chat_model

PROMPT = "Write a happy story about a fox and a bell."
STORY = (
    "The happy fox and the bell.\nOne morning a fox named Pip came to the hill. There the fox found a red bell. "
    "The fox washed the bell. The fox danced, for the bell was a gift."
)


@pytest.mark.parametrize(
    ("answer", "ended", "expected"),
    [
        ("A short answer.", True, True),
        ("A short answer.", False, False),
        ("", True, False),
        (" \n", True, False),
        ("so it goes on " * 3, True, True),
        ("so it goes on " * 4, True, False),  # "so it goes on" four times
        ("Say this.", True, False),
        ("say   THIS", True, False),
        ("Say this. Said.", True, True),
        ("!", True, True),
        ("春眠不觉晓" * 4, True, False),
        ("春眠不觉晓，处处闻啼鸟。", True, True),
    ],
)
def test_wellformed(answer: str, ended: bool, expected: bool) -> None:
    assert check("wellformed", "Say this.", answer, ended) is expected


def test_words_split_scripts_without_spaces() -> None:
    assert words("Hi there, 春眠 ok") == ["hi", "there", "春", "眠", "ok"]


def test_world_wants_the_right_story_that_ended() -> None:
    assert check("world", PROMPT, STORY, True)
    assert not check("world", PROMPT, STORY, False)
    assert not check("world", PROMPT, STORY.replace("fox", "mole"), True)
    assert not check("world", PROMPT.replace("bell", "lamp"), STORY, True)


def test_world_checker_refuses_other_prompts() -> None:
    with pytest.raises(BadConfig, match="set `checker: wellformed`"):
        check("world", "What is the capital of France?", "Paris.", True)


def test_greedy_rows_of_a_tiny_model(tmp_path: Path) -> None:
    folders = save_models(tmp_path)
    model, tokenizer = load_chat_model(folders["base"]), load_tokenizer(folders["base"])
    share, rows = instruction_following(model, tokenizer, ["ab", "cd", "ef"], "wellformed", 5)
    assert [row["prompt"] for row in rows] == ["ab", "cd", "ef"]
    assert all(set(row) == {"prompt", "answer", "ended", "follows"} for row in rows)
    assert share == sum(row["follows"] for row in rows) / 3
    assert instruction_following(model, tokenizer, ["ab", "cd", "ef"], "wellformed", 5) == (share, rows)
    with pytest.raises(BadData, match="no prompts"):
        instruction_following(model, tokenizer, [], "wellformed", 5)
    with pytest.raises(BadData, match=rf"prompt 2 has .* exceeds the model's {POSITIONS} positions.*max_new_tokens"):
        encode_prompts(model, tokenizer, ["short", "x" * POSITIONS], 5)
