"""The guard's section of the page."""

import json
from pathlib import Path

from tasks.report.guard import guarded
from tasks.report.learned import warnings


def _write(folder: Path, states: str) -> None:
    names = {"o": "ok", "w": "warn", "s": "stop"}
    rows = [
        {"step": step, "state": names[letter], "reason": "" if letter == "o" else f"KL at {step}", "roll_back_to": 2}
        for step, letter in enumerate(states, 1)
    ]
    (folder / "guard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_states_in_a_row_are_one_stretch(tmp_path: Path) -> None:
    _write(tmp_path, "oowwsooo")
    found = guarded(tmp_path, {"selected_why": "iteration 2: the best"})
    assert found is not None
    assert (found.state, found.words, found.selected) == ("stop", "limit passed", "iteration 2: the best")
    assert [(part.state, part.first, part.last, part.share) for part in found.stretches] == [
        ("ok", 1, 2, 25.0),
        ("warn", 3, 4, 25.0),
        ("stop", 5, 5, 12.5),
        ("ok", 6, 8, 37.5),
    ]
    assert found.stretches[1].reason == "KL at 4"


def test_without_a_guard_there_is_no_section(tmp_path: Path) -> None:
    assert guarded(tmp_path, {}) is None


def test_the_first_thing_that_a_reader_sees() -> None:
    metrics = {"guard": "stop", "guard_step": 7, "guard_reason": "KL 9 nats an answer, ppo.guard.kl=8"}
    assert warnings({"aligned": metrics}) == ["PPO guard, stop at iteration 7: KL 9 nats an answer, ppo.guard.kl=8"]
    assert warnings({"aligned": {**metrics, "guard": "ok"}}) == []
