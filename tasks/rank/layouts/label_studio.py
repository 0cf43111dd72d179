"""Label Studio: the JSON export of a project with List and Ranker (drag and drop), several annotators a task."""

from collections.abc import Iterator
from typing import Any

from tasks.rank.layouts.conversation import answers, ends_with_user, messages, opening, plain
from tasks.rank.layouts.item import Flaw, Layout, Lost, Row, has
from tasks.rank.layouts.losses import count_about, ranked_alone, says_nothing
from tasks.rank.layouts.numbers import finite
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt

PROMPTS = ("prompt", "instruction", "question", "text")
TEXTS = ("body", "text", "html", "title")  # of an item, the fullest first
LEFT = "_"  # the list of the items that were moved to no bucket


def read(row: Row, origin: str) -> Iterator[RankedPrompt | Flaw]:
    """{"data": {"prompt", "items": [{"id", "body"}]}, "annotations": [{"completed_by", "result", "lead_time"}]}.

    An annotation that cannot be used is a flaw; predictions are rankings by the model that they name. Raises
    ValueError.
    """
    data = row.get("data")
    if not isinstance(data, dict):
        raise ValueError("`data` is not the data of a task")
    row = {**data, **row}
    key = next((name for name in PROMPTS if has(row, name)), PROMPTS[0])
    prompt = ends_with_user(opening(data, messages(row.get(key), key)), key)
    items = _items(row)
    texts = answers([next((item[k] for k in TEXTS if item.get(k)), None) for item in items], "items")
    rankings = []
    given = list(_annotations(row))
    if not given:
        raise ValueError("nobody has annotated this task")
    for by, annotation in given:
        try:
            rankings.append(_ranking(annotation, [str(item["id"]) for item in items], by, origin))
        except ValueError as problem:
            yield Flaw(str(problem))
    models = data.get("models")
    if rankings:
        known = models if isinstance(models, list) and len(models) == len(items) else []
        yield ranked_prompt(prompt, texts, rankings, known)


def _items(row: Row) -> list[Row]:
    """The list of the task whose members have an id: `items` where there is such a key, else the only one."""
    found = {key: value for key, value in row.items() if isinstance(value, list) and value and _identified(value)}
    found = {key: value for key, value in found.items() if key not in ("annotations", "predictions", "drafts")}
    if "items" not in found and len(found) != 1:
        raise ValueError(f"not one list of items with an id each: {', '.join(sorted(found)) or 'none'}")
    items: list[Row] = found["items"] if "items" in found else next(iter(found.values()))
    if len({str(item["id"]) for item in items}) < len(items):
        raise ValueError("two items have one id")
    return items


def _identified(value: list[Any]) -> bool:
    return all(isinstance(item, dict) and item.get("id") is not None for item in value)


def _annotations(row: Row) -> Iterator[tuple[str, Row]]:
    for key, who in (("annotations", "completed_by"), ("predictions", "model_version")):
        for annotation in row.get(key) or []:
            if isinstance(annotation, dict):
                yield _name(annotation.get(who)) or ("prediction" if key == "predictions" else ""), annotation


def _name(who: Any) -> str:
    """An annotator is a number, or an object with number and email."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return "" if who is None else str(who)


def _ranking(annotation: Row, ids: list[str], by: str, origin: str) -> Ranking:
    if annotation.get("was_cancelled"):
        raise ValueError(f"an annotation was skipped by its annotator: {by}")
    results = [each for each in annotation.get("result") or [] if isinstance(each, dict)]
    ranked = [each.get("value") for each in results if each.get("type") == "ranker"]
    if len(ranked) != 1 or not isinstance(ranked[0], dict):
        raise ValueError(f"an annotation has not one result of a ranker: {len(ranked)} by {by}")
    order = [str(one) for one in _order(ranked[0].get("ranker"))]
    if len(set(order)) < len(order) or not set(order) <= set(ids):
        raise ValueError(f"a ranking names an item twice, or one that the task has not: {order!r:.80}")
    if len(order) < 2:
        raise ValueError(f"fewer than 2 items are ranked: {len(order)} by {by}")
    seconds = annotation.get("lead_time")
    return Ranking(
        [order.index(one) + 1 if one in order else 0 for one in ids],
        annotator=by,
        origin=origin,
        seconds=None if seconds is None else finite(seconds, "lead_time"),
    )


def _order(value: Any) -> list[Any]:
    """Ids from the best: a list, or the one bucket that was filled. Several buckets have no order among them."""
    if not isinstance(value, dict):
        return value if isinstance(value, list) else []
    filled = [name for name, ids in value.items() if isinstance(ids, list) and ids and name != LEFT]
    if len(filled) > 1:
        raise ValueError(f"items are in several buckets, which have no order: {', '.join(filled)}")
    bucket: list[Any] = value[filled[0]] if filled else []
    return bucket


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """A task with an annotation a ranking, as the LLM Ranker template imports it. The models' names stand beside the
    items, where nobody sees them. A ranking with ties cannot be held.
    """
    count_about(item, lost, "annotator", "seconds", "models")
    if says_nothing(item, lost):
        return
    names = [f"answer-{number}" for number in range(1, len(item.candidates) + 1)]
    annotations: list[Row] = []
    for ranking in ranked_alone(item, lost):
        ranked = sorted((rank, name) for rank, name in zip(ranking.ranks, names, strict=True) if rank)
        if len({rank for rank, _ in ranked}) < len(ranked):
            lost["rankings with ties"] += 1
            continue
        by = {"completed_by": _completed_by(ranking.annotator)} if ranking.annotator else {}
        value = {"ranker": {"rank": [name for _, name in ranked]}}
        result = {"value": value, "from_name": "rank", "to_name": "answers", "type": "ranker", "origin": "manual"}
        annotation = {"id": len(annotations) + 1, **by, "result": [result], "was_cancelled": False}
        annotations.append(annotation | ({} if ranking.seconds is None else {"lead_time": ranking.seconds}))
    if annotations:
        models = {"models": item.models} if item.models else {}
        answers = zip(names, item.candidates, strict=True)
        items = [{"id": name, "title": name, "body": text} for name, text in answers]
        yield {"data": {"prompt": plain(item.prompt), "items": items, **models}, "annotations": annotations}


def _completed_by(annotator: str) -> int | Row:
    number = annotator.isascii() and annotator.isdigit() and str(int(annotator)) == annotator
    return int(annotator) if number else {"email": annotator}


LAYOUT = Layout(lambda row: has(row, "data") and isinstance(row.get("annotations"), list), read, write)
