"""Preference pairs: a prompt, the chosen answer, the rejected one.

As TRL reads them: plain texts, or messages, with the prompt in a column of its own or as the common beginning of both
conversations; as LLaMA-Factory and ShareGPT write them: `conversations` and two answers; as UltraFeedback binarized:
with the scores of both.
"""

from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.conversation import alone, answer, ends_with_user, messages, opening, prompt_of
from tasks.rank.layouts.item import Layout, Lost, Row, has
from tasks.rank.layouts.losses import as_pairs, count_about
from tasks.rank.layouts.numbers import score
from tasks.rankings import Messages, RankedPrompt, Ranking, ranked_prompt

SIDES = ("chosen", "rejected")
PROMPTS = ("prompt", "conversations", "messages", "instruction", "question")
SCORES = ("score_chosen", "score_rejected")


def fits(row: Row) -> bool:
    """Two answers, and a prompt in a column of its own or in the conversations."""
    prompt = any(has(row, key) for key in PROMPTS)
    return has(row, *SIDES) and (prompt or isinstance(row["chosen"], list))


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """{"prompt"?, "chosen", "rejected"} and `system`, `history`, both scores where there are any. Raises ValueError."""
    (before, chosen), (before_rejected, rejected) = (_side(row.get(key), key) for key in SIDES)
    if before != before_rejected:
        raise ValueError("chosen and rejected have different prompts")
    if chosen == rejected:
        raise ValueError("chosen and rejected are the same")
    ratings = [score(row.get(key), key) for key in SCORES]
    known = [rating for rating in ratings if rating is not None]
    ranking = Ranking([1, 2], origin=origin, ratings=known if len(known) == 2 else [])
    yield ranked_prompt(_prompt(row, before), [chosen, rejected], [ranking])


def _side(value: Any, key: str) -> tuple[Messages, str]:
    """What stands before the answer, and the answer: a text, a turn, or messages that end with it."""
    if not isinstance(value, (list, dict)):
        return [], answer(value, key)
    turns = messages([value] if isinstance(value, dict) else value, key)
    if turns[-1]["role"] != "assistant":
        raise ValueError(f"`{key}` does not end with an assistant turn")
    return turns[:-1], turns[-1]["content"]


def _prompt(row: Row, before: Messages) -> Messages:
    """The prompt's own column, then what stands before the answers.

    A prompt that is a text, or that the conversations repeat, is the beginning of them (TRL, maybe_extract_prompt).
    """
    own = next((key for key in PROMPTS if has(row, key)), None)
    if not before:
        return prompt_of(row, *PROMPTS)
    if own is None or isinstance(row[own], str):
        return ends_with_user(opening(row, before), "chosen")
    given = messages(row[own], own)
    whole = before if before[: len(given)] == given else given + before
    return ends_with_user(opening(row, whole), "chosen")


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """{"prompt", "chosen", "rejected"} as texts, a row a pair; a prompt of several turns is left out and counted."""
    if not alone(item.prompt):
        lost["prompts of several turns (pairs-chat holds them)"] += 1
        return
    prompt = item.prompt[0]["content"]
    for row in write_chat(item, lost):
        yield {**row, "prompt": prompt, **{key: row[key][0]["content"] for key in SIDES}}


def write_chat(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """{"prompt", "chosen", "rejected"} as messages, a row a pair, with both scores where there are ratings."""
    count_about(item, lost, "ratings")
    for ranking, better, worse in as_pairs(item, lost):
        row: Row = {"prompt": item.prompt}
        for key, number in zip(SIDES, (better, worse), strict=True):
            row[key] = [{"role": "assistant", "content": item.candidates[number]}]
        if ranking.ratings:
            row |= {key: ranking.ratings[number] for key, number in zip(SCORES, (better, worse), strict=True)}
        yield row


LAYOUT = Layout(fits, read, write)
CHAT = Layout(fits, read, write_chat)
