"""Pages that a process keeps: counted in processes of their own, as the setting is the whole process's."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from tasks.allocator import keep_freed_memory
torch.set_num_threads(1)
print(keep_freed_memory() if sys.argv[1] == "keep" else False)

def work():
    for _ in range(20):
        parts = [torch.zeros(1_500_000) for _ in range(6)]
        del parts

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str, **env: str) -> tuple[bool, int]:
    """Whether the setting was made, and page faults of the second round of work."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    made, faults = done.stdout.split()
    return made == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's settings")
def test_freed_tensors_are_used_again_without_page_faults() -> None:
    made, kept = _faults("keep")
    assert made
    # by default it hangs on what lies above in the heap whether pages are given back: here all are
    _, given_back = _faults("leave", MALLOC_MMAP_THRESHOLD_="131072")
    assert kept < given_back / 20


def test_settings_of_the_users_own_stay() -> None:
    made, _ = _faults("keep", MALLOC_TRIM_THRESHOLD_="1048576")
    assert not made
