"""Examples: what is learned, what is too long, and a held-out part that training never sees."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.chat import encode_prompt, user
from tasks.failures import BadData
from tasks.finetune.examples import Example, encode, split


def _conversation(prompt: str, answer: str) -> list[dict[str, str]]:
    return [*user(prompt), {"role": "assistant", "content": answer}]


def test_the_answer_and_its_end_are_learned(chat_tokenizer: Any) -> None:
    (example,), too_long = encode(chat_tokenizer, [_conversation("A mole.", "The rope.")], 100)
    learned = [label for label in example.labels if label != -100]
    assert chat_tokenizer.decode(learned) == "The rope.<|im_end|>"
    assert [label for label in example.labels if label != -100] == learned
    assert all(label in (-100, token) for label, token in zip(example.labels, example.ids, strict=True))
    assert example.prompt_tokens == len(encode_prompt(chat_tokenizer, user("A mole.")))
    assert too_long == 0


def test_longer_ones_are_left_out_and_counted(chat_tokenizer: Any) -> None:
    conversations = [_conversation("A mole.", "The rope." * n) for n in (1, 9, 1)]
    sizes = [len(example.ids) for example in encode(chat_tokenizer, conversations, 1000)[0]]
    kept, too_long = encode(chat_tokenizer, conversations, sizes[0])
    assert [len(example.ids) for example in kept] == [sizes[0], sizes[2]]
    assert too_long == 1


def _examples(prompts: list[str]) -> list[Example]:
    return [Example(prompt, [9, 8, number], [0, 1, 1]) for number, prompt in enumerate(prompts)]


@settings(deadline=None)
@given(
    prompts=st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=60),
    heldout=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_no_held_out_prompt_is_trained_on(prompts: list[str], heldout: int, seed: int) -> None:
    examples = _examples(prompts)
    if len(set(prompts)) <= heldout:
        with pytest.raises(BadData, match=r"finetune\.heldout"):
            split(examples, heldout, seed, None)
        return
    parts = split(examples, heldout, seed, None)
    held = {example.prompt for example in parts.heldout}
    assert len(parts.heldout) == len(held) == heldout
    assert held.isdisjoint(example.prompt for example in parts.train)
    assert len(parts.train) + len(parts.heldout) + parts.repeated == len(examples)
    # which prompts are held out does not depend on the order of the rows
    turned = split(examples[::-1], heldout, seed, None)
    assert {example.prompt for example in turned.heldout} == held


def test_prompts_that_leave_no_room_for_an_answer_are_trained_on() -> None:
    examples = [Example("long", [7] * 30, [0] * 20 + [1] * 10), *_examples(["a", "b", "c"])]
    for seed in range(10):
        parts = split(examples, 2, seed, prompt_limit=19)
        assert "long" in {example.prompt for example in parts.train}
    assert any(
        "long" in {example.prompt for example in split(examples, 2, seed, prompt_limit=20).heldout}
        for seed in range(10)
    )
