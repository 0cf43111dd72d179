"""Argilla 2.x: records of a dataset with one RankingQuestion whose options are names of fields.

As `records.to_json` and `records.to_list` write them, and flat as `records.to_datasets` does.
"""

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from tasks.rank.layouts.conversation import answers, ends_with_user, messages, plain
from tasks.rank.layouts.item import Flaw, Layout, Lost, Row, has
from tasks.rank.layouts.losses import count_about, ranked_alone, says_nothing
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt

PROMPTS = ("prompt", "instruction", "question")
FLAT = ".responses"


def fits(row: Row) -> bool:
    """Fields with responses or suggestions, or columns of responses."""
    nested = isinstance(row.get("fields"), dict) and ("responses" in row or "suggestions" in row)
    return nested or any(key.endswith(FLAT) for key in row)


def read(row: Row, origin: str) -> Iterator[RankedPrompt | Flaw]:
    """{"fields": {"prompt", "answer-1", …}, "responses": {question: [{"value", "user_id"}]}, "suggestions": …}.

    A value lists names of fields from the best, or holds {"value", "rank"} where ties are. A response that cannot be
    used is a flaw; a suggestion is a ranking by the agent that it names. Raises ValueError.
    """
    record = row if isinstance(row.get("fields"), dict) else _nested(row)
    fields = record["fields"]
    key = next((name for name in PROMPTS if has(row, name) or has(fields, name)), PROMPTS[0])
    prompt = ends_with_user(messages(row[key] if has(row, key) else fields.get(key), key), key)
    given = list(_given(record))
    options = sorted({name for _, value in given for name, _ in value}, key=list(fields).index)
    rankings = []
    for response, value in given:
        try:
            rankings.append(_ranking(response, value, options, origin))
        except ValueError as problem:
            yield Flaw(str(problem))
    if rankings:
        texts = answers([fields[name] for name in options], "fields")
        models = (record.get("metadata") or {}).get("models")
        known = models if isinstance(models, list) and len(models) == len(options) else []
        yield ranked_prompt(prompt, texts, rankings, known)
    elif not given:
        raise ValueError("no response and no suggestion to a ranking question")


def _nested(row: Row) -> Row:
    """The record of a flat row: question.responses, .responses.users, .responses.status, question.suggestion."""
    responses: dict[str, list[Row]] = {}
    suggestions: dict[str, Row] = {}
    for key in (key for key in row if has(row, key)):
        if key.endswith(FLAT):
            values = row[key]
            users, states = row.get(f"{key}.users") or [], row.get(f"{key}.status") or []
            responses[key.removesuffix(FLAT)] = [
                {
                    "value": value,
                    "user_id": users[at] if at < len(users) else None,
                    "status": states[at] if at < len(states) else None,
                }
                for at, value in enumerate(values if isinstance(values, list) else [])
            ]
        elif key.endswith(".suggestion"):
            suggestions[key.removesuffix(".suggestion")] = {"value": row[key], "agent": row.get(f"{key}.agent")}
    fields = {key: value for key, value in row.items() if "." not in key}
    return {"fields": fields, "responses": responses, "suggestions": suggestions}


Places = list[tuple[str, int]]  # names of fields with their ranks


def _given(record: Row) -> Iterator[tuple[Row, Places]]:
    """Every response and suggestion to the ranking question. Raises ValueError when there are several questions."""
    found: dict[str, list[tuple[Row, Places]]] = {}
    names = ((record.get("metadata") or {}).get("annotators")) or []
    for question, responses in (record.get("responses") or {}).items():
        for number, response in enumerate(responses or []):
            if (value := _places(response.get("value"), record["fields"])) is not None:
                name = names[number] if number < len(names) else response.get("user_id")
                found.setdefault(question, []).append(({**response, "by": name or ""}, value))
    for question, suggestion in (record.get("suggestions") or {}).items():
        if suggestion and (value := _places(suggestion.get("value"), record["fields"])) is not None:
            found.setdefault(question, []).append(({"by": suggestion.get("agent") or "suggestion"}, value))
    if len(found) > 1:
        raise ValueError(f"several ranking questions; keep one of them in the file: {', '.join(found)}")
    yield from (each for question in found.values() for each in question)


def _places(value: Any, fields: Row) -> Places | None:
    """Names of fields with ranks, or None: the value is none of a ranking question."""
    if isinstance(value, dict) and isinstance(value.get("value"), list):  # columns, as tables hold a list of structs
        ranks = value.get("rank") or [None] * len(value["value"])
        value = [{"value": name, "rank": rank} for name, rank in zip(value["value"], ranks, strict=True)]
    if not isinstance(value, list) or not value:
        return None
    places: Places = []
    for number, each in enumerate(value, start=1):
        name, rank = (each.get("value"), each.get("rank")) if isinstance(each, dict) else (each, None)
        if not isinstance(name, str) or name not in fields or not (rank is None or type(rank) is int):
            return None
        places.append((name, number if rank is None else rank))
    return places


def _ranking(response: Row, places: Places, options: list[str], origin: str) -> Ranking:
    by, state = str(response["by"]), response.get("status")
    if state not in (None, "submitted"):
        raise ValueError(f"a response is not submitted: {state} by {by}")
    ranks = dict(places)
    if len(ranks) < len(places):
        raise ValueError(f"a ranking names an option twice: {[name for name, _ in places]!r:.80}")
    if len(ranks) < 2:
        raise ValueError(f"fewer than 2 options are ranked: {len(ranks)} by {by}")
    return Ranking.of([ranks.get(name) for name in options], annotator=by, origin=origin)


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """A record with a response a ranking, for a RankingQuestion named ranking with the options answer-1, answer-2, ….

    Argilla knows users by UUID: a name becomes the UUID made of it, and stands in the metadata.
    """
    count_about(item, lost, "annotator", "models")
    if says_nothing(item, lost):
        return
    rankings = list(ranked_alone(item, lost))
    ranked = [at for at in range(len(item.candidates)) if any(ranking.ranks[at] for ranking in rankings)]
    lost["answers without a rank"] += len(item.candidates) - len(ranked)
    names = {at: f"answer-{number}" for number, at in enumerate(ranked, start=1)}
    responses = [
        {
            "value": [{"value": names[at], "rank": ranking.ranks[at]} for at in _by_rank(ranking)],
            "user_id": _user(ranking.annotator, number),
        }
        for number, ranking in enumerate(rankings)
    ]
    if responses:
        about: Row = {"annotators": [ranking.annotator for ranking in rankings]}
        about |= {"models": [item.models[at] for at in ranked]} if item.models else {}
        yield {
            "id": item.id,
            "fields": {"prompt": plain(item.prompt), **{name: item.candidates[at] for at, name in names.items()}},
            "metadata": about,
            "suggestions": {},
            "responses": {"ranking": responses},
            "vectors": {},
            "status": "completed",
        }


def _by_rank(ranking: Ranking) -> list[int]:
    return sorted((at for at, rank in enumerate(ranking.ranks) if rank), key=lambda at: ranking.ranks[at])


def _user(annotator: str, number: int) -> str:
    try:
        return str(UUID(annotator))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, annotator or f"annotator {number}"))


LAYOUT = Layout(fits, read, write)
