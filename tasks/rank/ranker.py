"""Sampled candidates ranked by a program: the small world's rubric, or length."""

from tasks.candidate_rows import Candidates
from tasks.failures import BadConfig
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt


def rank_by_program(ranker: str, items: list[Candidates]) -> list[RankedPrompt]:
    """One ranking a prompt. A prompt whose answers are all the same gives none and is left out."""
    return [
        ranked_prompt(
            item.prompt, item.answers, [Ranking(rank_answers(ranker, item.text, item.answers), origin=ranker)]
        )
        for item in items
        if len(item.distinct) > 1
    ]


def rank_answers(ranker: str, prompt: str, texts: list[str]) -> list[int]:
    """Ranks from 1; equal values tie. rubric: the small world's score, high to low. shortest: fewest characters.

    Raises BadConfig when the rubric meets a prompt that is not of the small world.
    """
    if ranker == "shortest":
        values = [float(len(text)) for text in texts]
    else:
        from tasks.world.rubric import score  # only the small world needs it

        try:
            values = [-round(score(prompt, text), 9) for text in texts]
        except ValueError as error:
            raise BadConfig(f"rank.ranker=rubric, but a prompt is {error}; set rank.ranker=shortest") from error
    order = sorted(set(values))
    return [order.index(value) + 1 for value in values]
