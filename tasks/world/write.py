"""World stage: write the raw files of the small world."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from configs.schema.world import WorldConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.world import planted
from tasks.world.answers import draw_answer
from tasks.world.mixture import STORY_KINDS, draw_row, shares
from tasks.world.prompts import Split, draw_prompts, parse, prompts_of
from tasks.world.rankings import ranked

Row = dict[str, Any]
PROMPT_FILES: tuple[Split, ...] = ("rank_prompts", "prompts", "heldout_prompts")

# Share of instruction answers with a polite opening, and with a friendly close. What the rankings prefer is seldom
# shown: the fine-tuned model has room to gain.
COURTEOUS = 0.2


def write_world(config: WorldConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write stories, field notes, held-out text, instructions, rankings and prompts into ``out``.

    Every file has a random stream of its own, so that making one longer leaves the others as they are.
    Raises BadConfig when more prompts are asked for than there are.
    """
    mixture = shares(config.stories, config.documents)
    stories = _stories(config, mixture)
    notes = _notes(config, mixture)
    taken = {row["text"] for row in stories} | {row["text"] for row in notes}
    lines, labels = _documents(config, notes, mixture)
    heldout = _distinct(config.heldout, mixture, mixture, _stream(config, "heldout"), taken)
    _write(out / "documents.jsonl", lines)
    _write_rows(out / "stories.jsonl", _identified("story", stories))
    _write_rows(out / "heldout.jsonl", _identified("heldout", heldout))
    live.progress(1, 2, "parts")
    _write_rows(out / "instructions.jsonl", _instructions(config))
    _write_rows(out / "rankings.jsonl", _rankings(config))
    for name in PROMPT_FILES:
        found = draw_prompts(name, getattr(config, name), name, _stream(config, name))
        _write_rows(out / f"{name}.jsonl", ({"prompt": prompt} for prompt in found))
    _write(out / "planted.json", [json.dumps(labels, indent=1, sort_keys=True)])
    live.progress(2, 2, "parts")
    clean = stories + notes
    return {
        "stories": len(stories),
        "documents": len(lines),
        "instructions": config.instructions,
        "ranked_prompts": config.ranked_prompts,
        "heldout": len(heldout),
        "planted": sum(len(items) for items in labels.values()),
        "mean_nats": round(sum(row["metadata"]["nats"] for row in clean) / len(clean), 4),
        "mean_nats_heldout": round(sum(row["metadata"]["nats"] for row in heldout) / len(heldout), 4),
        "mean_words": round(sum(len(row["text"].split()) for row in clean) / len(clean), 2),
    }


def _stream(config: WorldConfig, name: str) -> random.Random:
    return random.Random(f"{config.seed}:{name}")


def _distinct(
    count: int, mixture: dict[str, float], kinds: dict[str, float], rng: random.Random, taken: Iterable[str] = ()
) -> list[Row]:
    """``count`` rows, none alike and none in ``taken``; a repeat is so rare that the nats still hold."""
    seen = set(taken)
    rows: list[Row] = []
    while len(rows) < count:
        row = draw_row(mixture, kinds, rng)
        if row["text"] not in seen:
            seen.add(row["text"])
            rows.append(row)
    return rows


def _stories(config: WorldConfig, mixture: dict[str, float]) -> list[Row]:
    return _distinct(config.stories, mixture, STORY_KINDS, _stream(config, "stories"))


def _notes(config: WorldConfig, mixture: dict[str, float]) -> list[Row]:
    return _distinct(config.documents, mixture, {"note": 1.0}, _stream(config, "notes"))


def _documents(config: WorldConfig, notes: list[Row], mixture: dict[str, float]) -> tuple[list[str], Row]:
    """Lines of documents.jsonl, and what was planted by kind. A copy always comes after its original."""
    rng = _stream(config, "planted")
    clean = [{**row, "metadata": dict(row["metadata"])} for row in notes]
    extra: list[tuple[Row, Row | None, str, str]] = []  # row, original, list in planted.json, label
    originals = rng.sample(clean, min(len(clean), config.exact_duplicates + config.near_duplicates))
    exact, near = originals[: config.exact_duplicates], originals[config.exact_duplicates :]
    extra += [(_planted(row["text"]), row, "exact_duplicates", "") for row in exact]
    extra += [(_planted(planted.near_duplicate(row["text"], rng)), row, "near_duplicates", "") for row in near]
    for at in range(config.junk):
        kind = list(planted.JUNK)[at % len(planted.JUNK)]
        extra.append((_planted(planted.JUNK[kind](rng)), None, "junk", kind))
    fresh = _distinct(config.pii + _controls(config), mixture, {"note": 1.0}, rng, (row["text"] for row in clean))
    for at, row in enumerate(fresh[: config.pii]):
        kind = list(planted.PII)[at % len(planted.PII)]
        extra.append((_planted(planted.with_pii(row["text"], kind, rng)), None, "pii", kind))
    for at, row in enumerate(fresh[config.pii :]):
        kinds = [*planted.CONTROLS, "short"]
        kind = kinds[at % len(kinds)]
        text = planted.short_control(rng) if kind == "short" else row["text"] + planted.CONTROLS[kind](rng)
        extra.append((_planted(text), None, "controls", kind))
    return _placed(config, clean, extra, rng)


def _placed(
    config: WorldConfig, clean: list[Row], extra: list[tuple[Row, Row | None, str, str]], rng: random.Random
) -> tuple[list[str], Row]:
    order = clean + [row for row, _, _, _ in extra]
    rng.shuffle(order)
    at = {id(row): place for place, row in enumerate(order)}
    for row, original, _, _ in extra:
        if original is not None and at[id(row)] < at[id(original)]:
            here, there = at[id(row)], at[id(original)]
            order[here], order[there] = original, row
            at[id(row)], at[id(original)] = there, here
    for place, row in enumerate(order):
        row["id"] = f"note-{place:05d}"
    labels: Row = {name: {} for name in ("exact_duplicates", "near_duplicates", "junk", "pii", "controls")}
    for row, original, name, label in extra:
        labels[name][row["id"]] = original["id"] if original is not None else label
    lines = [_line(row) for row in order]
    broken = sorted(rng.sample(range(len(lines) + config.malformed), config.malformed))
    for number, place in enumerate(broken):
        source = lines[rng.randrange(len(lines))]
        lines.insert(place, planted.MALFORMED[number % len(planted.MALFORMED)](source))
    labels["malformed"] = [place + 1 for place in broken]
    return lines, labels


def _controls(config: WorldConfig) -> int:
    return max(len(planted.CONTROLS) + 1, config.documents // 25)


def _planted(text: str) -> Row:
    return {"text": text, "metadata": {"kind": "note"}}


def _instructions(config: WorldConfig) -> Iterable[Row]:
    """Prompts in random order; once all have come, they come again with other answers."""
    rng = _stream(config, "instructions")
    pool = prompts_of("instructions")
    asked: list[str] = []
    while len(asked) < config.instructions:
        asked += rng.sample(pool, len(pool))
    for prompt in asked[: config.instructions]:
        opening, close = rng.random() < COURTEOUS, rng.random() < COURTEOUS
        answer = draw_answer(parse(prompt), rng, opening, close).text
        yield {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


def _rankings(config: WorldConfig) -> Iterable[Row]:
    rng = _stream(config, "rankings")
    for prompt in draw_prompts("ranked", config.ranked_prompts, "ranked_prompts", rng):
        yield ranked(prompt, config.candidates, rng)


def _identified(name: str, rows: list[Row]) -> Iterable[Row]:
    return ({"id": f"{name}-{at:05d}", **row} for at, row in enumerate(rows))


def _line(row: Row) -> str:
    return json.dumps({"id": row["id"], "text": row["text"], "metadata": row["metadata"]})


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    _write(path, (json.dumps(row) for row in rows))


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
