"""Greedy answers to prompts, and whether they follow the instruction."""

import re
from collections import Counter
from typing import Any, Literal

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.chat import decode_answer, encode_prompt, end_ids, user
from tasks.failures import BadConfig, BadData
from tasks.sampling import generate

Checker = Literal["world", "wellformed"]
MOST_REPEATS = 3  # times a 4-gram may occur
# A word, or one character of a script that is written without spaces
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")


def words(text: str) -> list[str]:
    """Lower-case words; each Chinese, Japanese or Korean character counts as one."""
    return _WORD.findall(text.lower())


def check(checker: Checker, prompt: str, answer: str, ended: bool) -> bool:
    """Whether an answer follows its prompt.

    wellformed looks at form alone: the answer ended, is not empty, says no 4-gram of words more than 3 times
    and is not the prompt again. world also asks for the right animal, object and mood.

    Raises BadConfig when the world's checker meets a prompt that is not of the small world.
    """
    if checker == "world":
        return ended and _follows(prompt, answer)
    said = words(answer)
    four_grams = Counter(zip(said, said[1:], said[2:], said[3:], strict=False))
    loops = max(four_grams.values(), default=0) > MOST_REPEATS
    copied = answer.strip() == prompt.strip() or (bool(said) and said == words(prompt))
    return ended and bool(answer.strip()) and not loops and not copied


def _follows(prompt: str, answer: str) -> bool:
    from tasks.world.rubric import follows  # only the small world needs it

    try:
        return follows(prompt, answer)
    except ValueError as error:
        raise BadConfig(f"checker: world, but a prompt is {error}; set `checker: wellformed`") from error


def encode_prompts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str], max_new_tokens: int
) -> list[list[int]]:
    """Token ids of each prompt as one user turn, ready to be answered.

    Raises BadData when a prompt and its longest answer do not fit the model's positions.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    encoded = [encode_prompt(tokenizer, user(prompt)) for prompt in prompts]
    for number, ids in enumerate(encoded, start=1):
        if limit is not None and len(ids) + max_new_tokens > limit:
            raise BadData(
                f"prompt {number} has {len(ids)} tokens, and with max_new_tokens={max_new_tokens} it exceeds the "
                f"model's {limit} positions: {prompts[number - 1][:60]!r}; lower max_new_tokens or leave it out"
            )
    return encoded


def greedy_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str], max_new_tokens: int
) -> list[dict[str, Any]]:
    """One greedy answer a prompt: rows of prompt, answer (text), ended, and tokens (without the end token)."""
    ends = end_ids(tokenizer)
    encoded = encode_prompts(model, tokenizer, prompts, max_new_tokens)
    answers = generate(
        model,
        encoded,
        max_new_tokens=max_new_tokens,
        temperature=0.0,
        end_ids=ends,
        pad_id=int(tokenizer.pad_token_id),
    )
    rows = []
    for prompt, ids in zip(prompts, answers, strict=True):
        ended = bool(ids) and ids[-1] in ends
        rows.append(
            {"prompt": prompt, "answer": decode_answer(tokenizer, ids), "ended": ended, "tokens": len(ids) - ended}
        )
    return rows


def instruction_following(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    checker: Checker,
    max_new_tokens: int,
) -> tuple[float, list[dict[str, Any]]]:
    """Share of prompts whose greedy answer follows them, and the rows {prompt, answer, ended, follows}."""
    if not prompts:
        raise BadData("no prompts to measure instruction following on")
    rows = []
    for row in greedy_answers(model, tokenizer, prompts, max_new_tokens):
        follows = check(checker, row["prompt"], row["answer"], row["ended"])
        rows.append({"prompt": row["prompt"], "answer": row["answer"], "ended": row["ended"], "follows": follows})
    return sum(row["follows"] for row in rows) / len(rows), rows
