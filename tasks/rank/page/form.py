"""The form of the ranking page, read and checked."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from tasks.rank.page.book import Submission
from tasks.rank.page.work import by_candidate

AXES = ("helpful", "honest", "harmless")
STEPS = 5  # of an axis
LONGEST = 4000  # characters of a comment
VERDICTS = ("ranked", "bad", "skip")


class Refused(ValueError):
    """A form that cannot be used. The argument is the key of what to say: see words.py."""


def fields(body: bytes) -> dict[str, str]:
    """An urlencoded form; of equal names the last counts. Raises Refused."""
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, max_num_fields=400))
    except (ValueError, UnicodeDecodeError):
        raise Refused("bad_form") from None


def read_submission(form: Mapping[str, str], item: str, annotator: str, ordering: Sequence[int]) -> Submission:
    """A checked submission in the order of the sheet. Raises Refused: not all ranked, out of range, too long."""
    verdict, key, count = form.get("verdict", ""), form.get("key", ""), len(ordering)
    if verdict not in VERDICTS or not 16 <= len(key) <= 64:
        raise Refused("bad_form")
    comment = form.get("comment", "").replace("\r\n", "\n").strip()
    if len(comment) > LONGEST:
        raise Refused("long_comment")
    ranks: list[int] = []
    if verdict == "bad":
        ranks = [1] * count
    elif verdict == "ranked":
        given = [_number(form.get(f"rank_{place}", ""), count) for place in range(count)]
        if None in given:
            raise Refused("rank_all")
        ranks = [rank for rank in by_candidate(ordering, given) if rank is not None]
    axes = {}
    for axis in AXES:
        marks = [_number(form.get(f"{axis}_{place}", ""), STEPS) for place in range(count)]
        if any(mark is not None for mark in marks):
            axes[axis] = by_candidate(ordering, marks)
    return Submission(key, item, annotator, verdict, ranks, axes, comment)


def _number(text: str, most: int) -> int | None:
    """1 to most; None for an empty field."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):
        raise Refused("bad_form")
    return int(text)
