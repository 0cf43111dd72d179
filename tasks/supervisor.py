"""Start a command in its own session and take the whole process group down when standard input closes.

Run as a file (``python -I -S supervisor.py GRACE PIDFILE COMMAND…``) so that it starts in milliseconds. Its stdin
is a pipe held by the parent: when the parent ends in any way, even by SIGKILL, the pipe closes, the group gets
SIGTERM, and after GRACE seconds SIGKILL. ``accelerate launch`` does not forward signals: the group is signalled.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time


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


def main() -> int:
    grace, pidfile, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)  # the parent alone decides, by closing stdin
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    with open(pidfile + ".new", "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump({"group": child.pid, "ticks": start_ticks(child.pid)}, file)
    os.replace(pidfile + ".new", pidfile)  # noqa: PTH105
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], 0.05)
        if readable and not os.read(0, 4096):
            end_group(child.pid, grace)
            child.wait()
            return 143
    end_group(child.pid, grace=2.0)  # ranks that outlived their launcher
    code = child.returncode
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
