"""What a run looks like in a terminal: one table row a stage, a bar for the stage that runs, and the result."""

import shlex
import sys
import time
from typing import Any, cast

from prefect.exceptions import Abort, Pause
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from configs.schema import AlignConfig, StageName
from flows import engine
from flows.align import align
from flows.embedded import start_server
from flows.history import wait_until_recorded
from flows.learned import print_learned
from flows.show import show_number
from flows.waiting import print_waiting
from tasks.failures import BadConfig
from tasks.run import RunRecord, own_run

HEADLINES = {
    "world": ("stories", "documents", "instructions"),
    "corpus": ("documents_in", "kept", "duplicates", "rejected", "quarantined", "pii_masked"),
    "tokenizer": ("vocabulary", "bytes_per_token"),
    "pretrain": ("perplexity_start", "perplexity", "perplexity_bound"),
    "finetune": ("instruction_following_start", "instruction_following"),
    "candidates": ("prompts", "answers", "distinct"),
    "rank": ("prompts", "heldout_prompts", "pairs"),
    "reward": ("pair_accuracy", "length_baseline"),
    "ppo": ("reward_start", "reward", "rubric_start", "rubric", "kl"),
    "evaluate": ("instruction_following_aligned", "reward_finetuned", "reward_aligned", "win_rate"),
    "report": ("charts", "samples"),
}
QUIET_EVERY = 15.0  # seconds between progress lines when the output is not a terminal


class TerminalTable:
    """Prints a row when a stage ends, and its progress while it runs."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.bar: Progress | None = None
        self.line_at = 0.0
        self.console.print(f"[bold]{'stage':10} {'state':10} {'seconds':>8}  {'artifact':12}  metrics[/bold]")

    def started(self, stage: str) -> None:
        self.line_at = time.monotonic()
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description:10}"), BarColumn(24), TextColumn("{task.fields[text]}"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
        self.bar.add_task(stage, total=None, text="")
        self.bar.start()

    def event(self, stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "say":
            self.console.print(f"[dim]{stage:10} {event['text']}[/dim]", soft_wrap=True)
            return
        values = "  ".join(f"{name} {show_number(value)}" for name, value in event["values"].items())
        text = f"{event['done']}/{event['total']} {event['unit']}  {values}"
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=event["done"], total=event["total"], text=text)
        elif time.monotonic() - self.line_at > QUIET_EVERY:
            self.line_at = time.monotonic()
            self.console.print(f"{stage:10} … {text}", soft_wrap=True)

    def finished(self, stage: str, row: dict[str, Any]) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
        colour = {"Completed": "green", "Reused": "cyan"}.get(row["state"], "red")
        shown = [name for name in HEADLINES.get(stage, ()) if row["metrics"].get(name) is not None]
        metrics = "  ".join(f"{name} {show_number(row['metrics'][name])}" for name in shown)
        artifact = (row["artifact"] or "")[:12]
        head = f"{stage:10} [{colour}]{row['state']:10}[/{colour}] {row['seconds']:8.1f}  {artifact:12}"
        self.console.print(f"{head}  {metrics}", soft_wrap=True)


def run_recipe(name: str, changes: list[str], config: AlignConfig, rerun_from: str | None, force: list[str]) -> None:
    """Run a recipe in this process and show it. A failure ends with what to do next."""
    console, waiting = Console(highlight=False), False
    console.print(f"[bold]plumbline[/bold] {config.name}, seed {config.seed}; starting Prefect", soft_wrap=True)
    start_server()
    engine.watchers.append(TerminalTable())
    try:
        align(
            name, overrides=changes, rerun_from=cast(StageName | None, rerun_from), force=cast(list[StageName], force)
        )
    except Pause:
        print_waiting(console, {"recipe": name, "changes": changes, "rerun_from": rerun_from, "force": force})
        waiting = True
    except BaseException as error:
        typed = sys.argv[1:2] in (["run"], ["rerun"])
        plain = ["run", name, *(word for change in changes for word in ("--set", change))]
        again = shlex.join(["plumbline", *(sys.argv[1:] if typed else plain)])
        console.print(f"\nfinished stages are kept, the same command goes on from here:  {again}", soft_wrap=True)
        if isinstance(error, Abort):  # cancelled in the UI
            raise KeyboardInterrupt from error
        raise
    finally:
        engine.watchers.clear()
        record = own_run()
        wait_until_recorded(record.flow_run if record else None)
    if record and waiting:
        _wait_on_page(console, record)
    elif record:
        print_learned(console, record)


def _wait_on_page(console: Console, record: RunRecord) -> None:
    """Serve the ranking page here until the run can go on, and go on; Ctrl-C, or a taken port, and it only waits."""
    from flows.rank_page import open_page, until_enough
    from flows.resume import go_on

    if not record.waiting or not record.config["rank"]["people"]["page"]["serve"]:
        return
    try:
        opened = open_page(record, [], None, None)
        file = until_enough(opened)
    except BadConfig as problem:
        console.print(f"the page is not served: {problem}", markup=False, soft_wrap=True)
        console.print(f"next: plumbline rank {record.run}", markup=False, soft_wrap=True)
        return
    if file is not None:
        go_on(record, opened.desk, file)
