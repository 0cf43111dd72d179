"""OpenAssistant's message trees: replies to a message, ranked from 0 (Köpf et al. 2023)."""

from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.item import Flaw, Layout, Lost, Row, has
from tasks.rank.layouts.losses import count_about, ranked_alone, says_nothing
from tasks.rankings import Messages, RankedPrompt, Ranking, ranked_prompt

_ROLES = {"prompter": "user", "assistant": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


def read(row: Row, origin: str) -> Iterator[RankedPrompt | Flaw]:
    """A message tree: each prompter message with at least two ranked replies is one K-way ranking.

    The prompt is the path of messages from the root. Replies without a rank, or deleted, are left out. Raises
    ValueError when the tree is malformed.
    """
    root = row.get("prompt")
    if not isinstance(root, dict):
        raise ValueError("`prompt` is not the root of a message tree")
    waiting = [(root, [_turn(root)])]
    while waiting:
        node, path = waiting.pop()
        replies = _replies(node)
        waiting += [(reply, [*path, _turn(reply)]) for reply in reversed(replies)]
        ranked = [reply for reply in replies if reply.get("role") == "assistant" and reply.get("rank") is not None]
        if path[-1]["role"] == "user" and len(ranked) >= 2:
            yield _ranked(path, ranked, origin)


def _ranked(path: Messages, replies: list[Row], origin: str) -> RankedPrompt | Flaw:
    ranks = [reply["rank"] for reply in replies]
    if any(type(rank) is not int for rank in ranks):
        return Flaw(f"ranks are not whole numbers: {ranks!r:.80}")
    models = [reply.get("model_name") or "" for reply in replies]
    try:
        texts = [reply["text"] for reply in replies]
        return ranked_prompt(path, texts, [Ranking.of(ranks, origin=origin)], models if any(models) else [])
    except ValueError as problem:
        return Flaw(str(problem))


def _replies(node: Row) -> list[Row]:
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise ValueError(f"`replies` is not a list of messages: those of {node.get('message_id')!r}")
    return [reply for reply in replies if not reply.get("deleted")]


def _turn(node: Row) -> dict[str, str]:
    role, text = _ROLES.get(node.get("role", "")), node.get("text")
    if role is None or not isinstance(text, str) or not text.strip():
        where = f"{node.get('message_id')!r} has role {node.get('role')!r} and text {text!r:.40}"
        raise ValueError(f"a message of the tree has no known role or no text: {where}")
    return {"role": role, "content": text}


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """A tree a ranking, its messages in one line down to the replies, whose ranks count from 0."""
    count_about(item, lost, "models")
    if any(turn["role"] == "system" for turn in item.prompt):
        lost["prompts with a system turn"] += 1
        return
    if says_nothing(item, lost):
        return
    for number, ranking in enumerate(ranked_alone(item, lost)):
        name = f"{item.id}-{number}"
        lost["answers without a rank"] += ranking.ranks.count(0)
        replies = [_reply(item, ranking, at, name) for at in range(len(item.candidates)) if ranking.ranks[at]]
        tree: Any = None
        for depth in reversed(range(len(item.prompt))):
            turn = item.prompt[depth]
            tree = {
                "message_id": f"{name}-{depth}",
                "role": _NAMES[turn["role"]],
                "text": turn["content"],
                "replies": [tree] if tree else replies,
            }
        yield {"message_tree_id": name, "tree_state": "ready_for_export", "prompt": tree}


def _reply(item: RankedPrompt, ranking: Ranking, at: int, name: str) -> Row:
    model = {"synthetic": True, "model_name": item.models[at]} if item.models and item.models[at] else {}
    text = {"message_id": f"{name}-a{at}", "role": "assistant", "text": item.candidates[at]}
    return {**text, "rank": ranking.ranks[at] - 1, **model, "replies": []}


LAYOUT = Layout(lambda row: isinstance(row.get("prompt"), dict) and has(row["prompt"], "replies"), read, write)
