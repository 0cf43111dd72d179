"""`plumbline logs`: the whole log of a stage, also while it is being written."""

import os
import sys
import time
from collections import deque
from pathlib import Path

from configs.schema import STAGES
from tasks.failures import BadConfig
from tasks.run import DONE, RunRecord, find_run, records

EVERY = 0.5  # seconds between two looks at a log that grows


def print_logs(first: str | None, second: str | None, follow: bool, lines: int | None) -> None:
    """Print the log of one stage or of all; ``follow`` goes on until the run ends.

    first, second: run and stage; a stage alone is one of the latest run. lines: only so many of each log, the last.
    Raises BadConfig for an unknown run or stage, and when there is no log to print.
    """
    run, stage = (None, first) if second is None and first in STAGES else (first, second)
    record = find_run(run)
    names = [row["name"] for row in record.stages]
    if stage is not None and stage not in names:
        raise BadConfig(f"{stage!r} is not a stage of run {record.run}; stages: {', '.join(names)}")
    try:
        if follow and record.state == "Running":
            record = _follow(record, [stage] if stage else names, lines)
        else:
            _print_all(record, [stage] if stage else names, lines)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    except BrokenPipeError:  # head and less read no further; without this, Python complains once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"next: {_next(record)}", file=sys.stderr)


def remove_logs(runs: list[RunRecord], dry_run: bool) -> str:
    """Remove the logs of these runs; says how many and how large."""
    files = [path for record in runs for path in record.folder.glob("*.log")]
    size = sum(path.stat().st_size for path in files)
    if not dry_run:
        for path in files:
            path.unlink()
    return f"{'would remove' if dry_run else 'removed'} {len(files)} logs of {len(runs)} old runs, {size / 1e6:.1f} MB"


def log_path(record: RunRecord, stage: str) -> Path:
    """Where the log of a stage of a run lies, or would lie."""
    return record.folder / f"{stage}.log"


def _print_all(record: RunRecord, names: list[str], lines: int | None) -> None:
    found = [(name, path) for name in names if (path := _find_log(record, name))]
    if not found:
        raise BadConfig(_why_none(record, names))
    for name, path in found:
        if len(names) > 1:
            print(f"######## {name}")
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in deque(file, lines) if lines is not None else file:
                sys.stdout.write(line)


def _find_log(record: RunRecord, stage: str) -> Path | None:
    """The log of a stage; of one that was reused, that of the run which made the artifact."""
    own = log_path(record, stage)
    if own.is_file():
        return own
    row = record.row(stage)
    if row["state"] != "Reused":
        return None
    for maker in records():
        made = next((other for other in maker.stages if other["name"] == stage), None)
        if made and (made["uri"], made["state"]) == (row["uri"], "Completed") and log_path(maker, stage).is_file():
            print(f"{stage} was reused; this is the log of run {maker.run}, which made it", file=sys.stderr)
            return log_path(maker, stage)
    return None


def _why_none(record: RunRecord, names: list[str]) -> str:
    if len(names) > 1:
        return f"run {record.run} has no log yet; plumbline status {record.run} shows how far it is"
    state = record.row(names[0])["state"]
    if state == "Reused":
        return f"{names[0]} was reused by run {record.run}, and the log of the run that made it is not here any more"
    return f"run {record.run} has no log of {names[0]}, which is {state}; --follow waits for the log of a running run"


def _follow(record: RunRecord, names: list[str], lines: int | None) -> RunRecord:
    """Print what the logs have, then what they get, until the run or the one stage has ended."""
    offsets: dict[str, int] = {}
    last = ""
    while True:
        record = find_run(record.run)  # read before the logs: what is written afterwards is seen next time
        for name in names:
            path = log_path(record, name)
            if not path.is_file():
                continue
            offset = offsets.get(name, 0 if lines is None else _begin_of_last(path, lines))
            with path.open("rb") as file:
                file.seek(offset)
                new = file.read()
            offsets[name] = offset + len(new)
            if new and len(names) > 1 and name != last:
                print(f"######## {name}")
                last = name
            sys.stdout.write(new.decode("utf-8", errors="replace"))
        sys.stdout.flush()
        ended = record.state != "Running" or (len(names) == 1 and record.row(names[0])["state"] in DONE)
        if ended:
            return record
        time.sleep(EVERY)


def _begin_of_last(path: Path, lines: int) -> int:
    """Where the last so many lines of a file begin, in bytes."""
    begins: deque[int] = deque([0], maxlen=lines + 1)
    with path.open("rb") as file:
        for line in file:
            begins.append(begins[-1] + len(line))
    return begins[0]


def _next(record: RunRecord) -> str:
    if record.state == "Running":
        return f"plumbline logs {record.run} --follow"
    if record.state == "Completed":
        return f"plumbline report {record.run}"
    return f"plumbline status {record.run}"
