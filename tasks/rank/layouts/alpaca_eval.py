"""AlpacaEval: an annotator's preference between two models' outputs (Li et al. 2023; Dubois et al. 2024).

Two layouts: the official annotations, a comparison a row, and one row a prompt with every model's output and its
preference against a baseline. Comparisons of a prompt within a file become one item, each a ranking of its own in
which the other outputs have no rank.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tasks.rank.layouts.conversation import alone, answer, prompt_of
from tasks.rank.layouts.gather import one_item_a_prompt
from tasks.rank.layouts.item import Flaw, Layout, Lost, Row, has
from tasks.rank.layouts.losses import count_about, ranked_alone, says_nothing
from tasks.rank.layouts.numbers import finite
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt

TIE = 1.5
# Column of the preference, column of the model that it is measured against
BASELINES = {"pref_v1": "v1_baseline", "pref_v2": "v2_baseline"}


def fits(row: Row) -> bool:
    """Two outputs with a preference, or all outputs of an instruction."""
    return has(row, "instruction") and (
        has(row, "output_1", "output_2") or (has(row, "v1_baseline") and isinstance(row.get("responses"), list))
    )


def read(row: Row, origin: str) -> Iterator[RankedPrompt | Flaw]:
    """Either layout. Raises ValueError; a comparison of a whole prompt's that cannot be used is a flaw."""
    if has(row, "responses"):
        yield from _read_responses(row, origin)
        return
    texts = [answer(row.get(key), key) for key in ("output_1", "output_2")]
    models = [row.get(key) or "" for key in ("generator_1", "generator_2")]
    if texts[0] == texts[1]:
        raise ValueError("the two outputs are the same")
    annotator = row.get("annotator") or ""
    ranking = _ranking(row.get("preference"), "preference", origin, annotator if isinstance(annotator, str) else "")
    yield ranked_prompt(prompt_of(row, "instruction"), texts, [ranking], models if any(models) else [])


def _ranking(preference: Any, key: str, origin: str, annotator: str = "") -> Ranking:
    """1 prefers the first output, 2 the second, 1.5 neither; between them, the second's probability plus 1."""
    if preference is None:
        raise ValueError(f"`{key}` is null: the annotator gave none")
    value = finite(preference, key)
    if value == 0:
        raise ValueError(f"`{key}` is 0: a draw in old files (1.5 today), an invalid answer in others")
    if not 1 <= value <= 2:
        raise ValueError(f"`{key}` is not between 1 and 2: {value:g}")
    ratings = [] if value in (1, TIE, 2) else [2 - value, value - 1]
    return Ranking.of([value, 2 * TIE - value], annotator=annotator, origin=origin, ratings=ratings)


def _read_responses(row: Row, origin: str) -> Iterator[RankedPrompt | Flaw]:
    """{"instruction", "v1_baseline", "v2_baseline", "responses": [{"model", "output", "pref_v1", "pref_v2"}]}."""
    prompt, responses = prompt_of(row, "instruction"), row["responses"]
    if not isinstance(responses, list) or not all(isinstance(response, dict) for response in responses):
        raise ValueError("`responses` is not a list of outputs")
    outputs = {response.get("model"): response.get("output") for response in responses}
    for key, baseline in BASELINES.items():
        against = outputs.get(row.get(baseline))
        for response in responses:
            model, preference = response.get("model"), response.get(key)
            # No preference: not compared with this baseline. The baseline's own row compares it with itself
            if preference is None or model == row.get(baseline):
                continue
            try:
                texts = [answer(against, f"output of {row.get(baseline)}"), answer(response.get("output"), "output")]
                if texts[0] == texts[1]:
                    raise ValueError("the two outputs are the same")
                ranking = _ranking(preference, key, origin)
                yield ranked_prompt(prompt, texts, [ranking], [str(row[baseline]), str(model)])
            except ValueError as problem:
                yield Flaw(f"{problem} ({model})" if ": " in str(problem) else f"{problem}: {model}")


def write(item: RankedPrompt, lost: Lost) -> Iterator[Row]:
    """The official annotations: a row a pair of ranked outputs, ties too; only for prompts of one user turn."""
    count_about(item, lost, "annotator", "models")
    if not alone(item.prompt):
        lost["prompts of several turns"] += 1
        return
    if says_nothing(item, lost):
        return
    models = item.models or [""] * len(item.candidates)
    for ranking in ranked_alone(item, lost):
        for one, two in combinations([number for number, rank in enumerate(ranking.ranks) if rank], 2):
            first, second = ranking.ranks[one], ranking.ranks[two]
            yield {
                "instruction": item.prompt[0]["content"],
                "output_1": item.candidates[one],
                "output_2": item.candidates[two],
                "generator_1": models[one],
                "generator_2": models[two],
                "annotator": ranking.annotator,
                "preference": TIE if first == second else 1.0 if first < second else 2.0,
            }


LAYOUT = Layout(fits, read, write, one_item_a_prompt)
