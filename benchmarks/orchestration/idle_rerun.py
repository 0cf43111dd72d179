"""A rerun with nothing to do, beyond Prefect's own start.

    python benchmarks/orchestration/idle_rerun.py [--recipe nano] [--repeats 5] [--json]

Both sides are whole commands in the same environment, one after the other: `plumbline run RECIPE` when every stage can
be reused (verification of every artifact included), and a process that runs an empty Prefect flow with the same
settings. With --json the last line is {"seconds", "inverse_seconds", "rerun_s", "prefect_s", "stages",
"torch_imported"}: medians of the differences and of both sides.
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

ROOT = Path(__file__).resolve().parents[2]
OURS = """
import sys
from flows.cli import app
app(["run", sys.argv[1]], standalone_mode=False)
print("TORCH", "torch" in sys.modules)
"""
EMPTY = """
from flows.engine import prepare_environment
prepare_environment(quiet=True)
from prefect import flow
@flow
def empty(): pass
empty()
"""


def timed(code: str, env: dict[str, str], *arguments: str) -> tuple[float, str]:
    """Seconds and output of a whole Python process."""
    begin = time.monotonic()
    text = subprocess.check_output([sys.executable, "-c", code, *arguments], env=env, cwd=ROOT, text=True)
    return time.monotonic() - begin, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, empty, torch = [], [], False
    with tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ,
            "PLUMBLINE_HOME": f"{home}/plumbline",
            "PREFECT_HOME": f"{home}/prefect",
            "PYTHONPATH": str(ROOT),
        }
        env.pop("PREFECT_API_URL", None)  # both sides start Prefect's own server
        timed(OURS, env, options.recipe)
        for _ in range(options.repeats):
            empty.append(timed(EMPTY, env)[0])
            seconds, text = timed(OURS, env, options.recipe)
            ours.append(seconds)
            torch = torch or "TORCH True" in text
        record = max((Path(home) / "plumbline" / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime)
        stages = json.loads(record.read_text(encoding="utf-8"))["stages"]
    made = [row["name"] for row in stages if row["state"] != "Reused"]
    if made:
        raise SystemExit(f"these stages were not reused: {', '.join(made)}")
    beyond = statistics.median(one - other for one, other in zip(ours, empty, strict=True))
    rerun, start = statistics.median(ours), statistics.median(empty)
    print(f"{len(stages)} stages reused in {rerun:.1f} s, an empty flow {start:.1f} s: {beyond:.2f} s beyond Prefect")
    print(f"torch imported: {torch}")
    if options.json:
        result = {"seconds": beyond, "inverse_seconds": 1 / max(beyond, 1e-3), "rerun_s": rerun, "prefect_s": start}
        print(json.dumps({**result, "stages": len(stages), "torch_imported": torch}))


if __name__ == "__main__":
    main()
