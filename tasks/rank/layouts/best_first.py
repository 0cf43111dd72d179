"""LLaMA-Factory's ranking rows: an instruction and its answers, the best one first."""

from collections.abc import Iterator

from tasks.rank.layouts.conversation import answers, prompt_of
from tasks.rank.layouts.item import Layout, Row, has
from tasks.rankings import RankedPrompt, Ranking, ranked_prompt


def fits(row: Row) -> bool:
    """An instruction, and several outputs."""
    return has(row, "instruction") and isinstance(row.get("output"), list)


def read(row: Row, origin: str) -> Iterator[RankedPrompt]:
    """{"instruction", "input", "output": [best, …, worst], "system"?, "history"?}. Raises ValueError.

    Of an answer that is there twice the better place counts.
    """
    texts = answers(row.get("output"), "output")
    ranking = Ranking(list(range(1, len(texts) + 1)), origin=origin)
    yield ranked_prompt(prompt_of(row, "instruction"), texts, [ranking])


LAYOUT = Layout(fits, read)
