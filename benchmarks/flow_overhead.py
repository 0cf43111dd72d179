"""What the flow adds to a stage, beyond Prefect's start: a run in which nothing has to be done.

    python benchmarks/flow_overhead.py [--repeats 3] [--json]

Runs the nano recipe once, then again with everything reused, and divides the wall time between the first stage's
start and the flow's end by the number of stages; verification of every artifact is included. With --json the last
line is {"stages", "reused_wall_s", "overhead_s_per_stage", "whole_command_s"} (medians).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROBE = """
import sys, time
from flows.engine import prepare_environment
prepare_environment(quiet=True)
from flows import engine
from flows.align import align
class Clock:
    first = None
    def started(self, stage):
        Clock.first = Clock.first or time.monotonic()
    def event(self, stage, event): pass
    def finished(self, stage, row): Clock.last = time.monotonic()
engine.watchers.append(Clock())
align("nano")
print("FLOW", Clock.last - Clock.first)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "PLUMBLINE_HOME": home, "PYTHONPATH": str(ROOT)}
        walls, wholes = [], []
        for repeat in range(options.repeats + 1):
            begin = time.monotonic()
            text = subprocess.check_output([sys.executable, "-c", PROBE], env=env, cwd=ROOT, text=True)
            if repeat:
                wholes.append(time.monotonic() - begin)
                walls.append(float(text.rpartition("FLOW")[2]))
    stages = 11
    wall, whole = statistics.median(walls), statistics.median(wholes)
    print(f"{stages} reused stages in {wall:.2f} s, {wall / stages:.3f} s a stage; whole command {whole:.1f} s")
    if options.json:
        result = {"stages": stages, "reused_wall_s": wall, "overhead_s_per_stage": wall / stages}
        print(json.dumps({**result, "whole_command_s": whole}))


if __name__ == "__main__":
    main()
