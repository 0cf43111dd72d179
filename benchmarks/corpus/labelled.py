"""Labelled rows for the corpus benchmarks, and the two sides of a comparison as processes of their own."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def gold_rows(data: str, name: str) -> list[dict[str, Any]]:
    """Rows of ``gold/NAME.jsonl.gz`` below the data folder."""
    path = Path(data) / "gold" / f"{name}.jsonl.gz"
    if not data or not path.is_file():
        raise SystemExit(f"no {path}: give --data FOLDER or set PLUMBLINE_TEST_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def peer_python(folder: str, packages: str) -> str:
    """The interpreter of the peers' own environment, which is made, or gets what it lacks, first."""
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        print(f"making the peers' environment in {folder} …", flush=True)
        subprocess.check_call([sys.executable, "-m", "venv", folder])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.check_call([*install, *packages.replace('"', "").split()], stdout=sys.stderr)
    return str(python)


def side(script: str, name: str, data: str, python: str = sys.executable) -> Any:
    """Run one side in a process: ``script --side NAME`` prints its result as JSON on the last line."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if python == sys.executable else "", "OMP_NUM_THREADS": "1"}
    command = [python, script, "--side", name, "--data", data]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if output.returncode:
        raise SystemExit(f"{name} failed:\n{output.stderr[-2000:]}")
    return json.loads(output.stdout.splitlines()[-1])
