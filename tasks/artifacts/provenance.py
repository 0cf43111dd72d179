"""What code and which libraries made an artifact. Versions are read from metadata: nothing is imported."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "torch", "transformers", "peft", "trl", "accelerate", "datasets", "prefect", "tokenizers", "numpy", "numba",
)  # fmt: skip


@cache
def environment() -> dict[str, Any]:
    """``code``: git commit ("+dirty" when files differ from it) or the installed version; ``packages``: versions."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    packages = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    code = _commit()
    if code is None:
        try:
            code = f"plumbline {version('plumbline')}"
        except PackageNotFoundError:
            code = "unknown"
    return {"code": code, "packages": packages}


def _commit() -> str | None:
    """Commit of the checkout this file lies in; None when it is not a checkout of ours or has no commit."""
    try:
        # An installed copy may lie inside somebody else's repository: that one's commit would be a lie
        if Path(_git("rev-parse", "--show-toplevel")) != ROOT.resolve():
            return None
        dirty = _git("status", "--porcelain", "--", "configs", "tasks", "flows")
        return _git("rev-parse", "HEAD") + ("+dirty" if dirty else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
