"""Start a command in its own session and take the whole process group down when standard input closes.

Run as a file (``python -I -S supervisor.py GRACE PIDFILE COMMAND…``) so that it starts in milliseconds. Its stdin
is a pipe held by the parent: when the parent ends in any way, even by SIGKILL, the pipe closes, the group gets
SIGTERM, and soon SIGKILL. A parent that lives and wants the group to end writes STOP first, and the group has GRACE
seconds to save a checkpoint. ``accelerate launch`` does not forward signals: the group is signalled.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

STOP = b"stop"
PR_SET_CHILD_SUBREAPER = 36
ORPHAN_GRACE = 1.2  # seconds; a machine whose run was killed is free again two seconds later


def start_ticks(pid: int) -> str:
    """Start time of a process in clock ticks: with the pid it names one process for ever ("" when it is gone)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def group_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_group(group: int, grace: float) -> None:
    """SIGTERM, wait up to ``grace`` seconds, SIGKILL."""
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, sign)
        except ProcessLookupError:
            return
        limit = time.monotonic() + patience
        while time.monotonic() < limit and group_alive(group):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-group, os.WNOHANG)  # a zombie of our own still counts as a member
            time.sleep(0.02)


def adopt_orphans() -> None:
    """Become the parent of ranks whose launcher died (Linux): only a parent can clear them away, and as long as they
    are not, their group looks alive. Process 1 of a container often clears nothing away.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> int:
    grace, pidfile, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The parent alone decides, by closing stdin. A handler and not SIG_IGN, which the command would inherit
        signal.signal(sign, lambda number, frame: None)
    adopt_orphans()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    with open(pidfile + ".new", "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump({"group": child.pid, "ticks": start_ticks(child.pid)}, file)
    os.replace(pidfile + ".new", pidfile)  # noqa: PTH105
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], 0.05)
        if readable:
            asked = os.read(0, len(STOP)) == STOP
            end_group(child.pid, grace if asked else min(grace, ORPHAN_GRACE))
            child.wait()
            return 143
    end_group(child.pid, min(grace, ORPHAN_GRACE))  # ranks that outlived their launcher
    code = child.returncode
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
