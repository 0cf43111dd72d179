"""What a second attempt knows of the first: how far it came, whatever happened in between."""

import json
from pathlib import Path
from typing import Any

from tasks.live import EVENTS, Live, Losses


def attempt(work: Path, start: int | None, reach: int) -> list[dict[str, Any]]:
    """One attempt: the parent begins, the child may say where it starts and how far it came; what is passed on."""
    losses, passed = Losses.begin(work / EVENTS), list[dict[str, Any]]()
    live = Live(work)
    if start is not None:
        live.start_at(start, "steps")
    if reach:
        live.progress(reach, reach, "steps")
    for line in (work / EVENTS).read_text(encoding="utf-8").splitlines():
        losses.pass_on(json.loads(line), passed.append)
    return passed


def said(events: list[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["event"] == "say"]


def test_the_first_attempt_lost_nothing_and_says_nothing(tmp_path: Path) -> None:
    events = attempt(tmp_path, 0, 7)
    assert [event["event"] for event in events] == ["progress"]


def test_each_attempt_says_where_it_goes_on_and_what_that_costs(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 93)
    assert said(attempt(tmp_path, 80, 81)) == ["goes on at step 80; 13 steps lost"]
    assert said(attempt(tmp_path, 80, 0)) == ["goes on at step 80; 1 step lost"]
    assert said(attempt(tmp_path, 80, 100)) == ["goes on at step 80; 0 steps lost"]


def test_an_attempt_that_dies_before_it_trains_hides_no_loss(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 93)
    assert said(attempt(tmp_path, None, 0)) == []
    assert said(attempt(tmp_path, 80, 81)) == ["goes on at step 80; 13 steps lost"]


def test_a_checkpoint_beyond_the_last_report_loses_nothing(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 93)
    assert said(attempt(tmp_path, 95, 96)) == ["goes on at step 95; 0 steps lost"]


def test_a_loss_without_a_checkpoint_is_said_too(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 4)
    assert said(attempt(tmp_path, 0, 1)) == ["goes on at step 0; 4 steps lost"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 9)
    with (tmp_path / EVENTS).open("a", encoding="utf-8") as file:
        file.write('{"event": "prog')
    assert said(attempt(tmp_path, 5, 6)) == ["goes on at step 5; 4 steps lost"]
