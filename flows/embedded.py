"""The Prefect server that a run in the terminal brings along: it does not hear Ctrl-C, and goes when the run goes."""

import atexit
import signal
import subprocess
import threading

# Holds a pipe from this process: it closes when this process ends, by SIGKILL as well
GUARD = 'cat > /dev/null; kill "$0" 2> /dev/null && sleep 1; kill -9 "$0" 2> /dev/null'


def start_server() -> None:
    """Start the embedded server, unless PREFECT_API_URL names another. Nothing happens when it runs already.

    Ctrl-C reaches every process of the terminal: a server that ended with it would leave the run asking it in vain
    for a minute instead of saying how it ended.
    """
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        return
    thread = threading.Thread(target=_start, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)


def _start() -> None:
    from prefect.server.api.server import SubprocessASGIServer

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what a thread blocks, its children block
    server = SubprocessASGIServer()
    server.start()
    if server.server_process is None:
        return
    guard = subprocess.Popen(
        ["/bin/sh", "-c", GUARD, str(server.server_process.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    atexit.register(guard.kill)  # before the server's own end, which was registered earlier
