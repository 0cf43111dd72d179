"""The command line as a user sees it: fast help, clear errors, status of no run."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def plumbline(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PLUMBLINE_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "160", "NO_COLOR": "1"}
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_help_is_fast_and_lists_every_command(own_home: Path) -> None:
    best, text = 9.0, ""
    for _ in range(3):
        begin = time.perf_counter()
        text = plumbline("--help", home=own_home).stdout
        best = min(best, time.perf_counter() - begin)
    for command in ("run", "plan", "status", "report", "chat", "verify", "gc"):
        assert f" {command} " in text
    assert best < 0.7


def test_help_plan_and_status_import_no_torch(own_home: Path) -> None:
    code = """
import sys
from flows.cli import app
for arguments in (["--help"], ["plan", "quickstart"], ["recipes"]):
    try:
        app(arguments, standalone_mode=False)
    except SystemExit:
        pass
print("HEAVY", [name for name in ("torch", "transformers", "prefect") if name in sys.modules])
"""
    env = {**os.environ, "PLUMBLINE_HOME": str(own_home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().endswith("HEAVY []")


def test_bad_settings_end_with_every_problem_and_status_1(own_home: Path) -> None:
    done = plumbline("run", "quickstart", "--set", "ppo.betta=1", "--set", "pretrain.heads=3", home=own_home)
    assert done.returncode == 1
    assert "ppo.betta: unknown setting" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_stage_is_named(own_home: Path) -> None:
    done = plumbline("run", "quickstart", "--force", "pretraining", home=own_home)
    assert done.returncode != 0
    assert "pretraining" in done.stderr
    assert "pretrain" in done.stderr


def test_missing_real_data_names_setting_and_path(own_home: Path) -> None:
    done = plumbline("plan", "real-small", "--set", "data_root=/nowhere", home=own_home)
    assert "/nowhere/pretrain/classic_books_en.jsonl.gz" in done.stdout
    assert "corpus.sources.0.path" in done.stdout


def test_status_without_a_run_says_what_to_do(own_home: Path) -> None:
    done = plumbline("status", home=own_home)
    assert done.returncode == 1
    assert "plumbline run quickstart" in done.stderr


def test_plan_of_a_fresh_store_runs_everything(own_home: Path) -> None:
    done = plumbline("plan", "quickstart", home=own_home)
    assert done.returncode == 0
    assert "run (after world)" in done.stdout
    assert "next: plumbline run quickstart" in done.stdout
