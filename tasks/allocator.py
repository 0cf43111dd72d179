"""Memory that a training process frees stays its own.

A pass on a CPU allocates and frees some hundreds of tensors of megabytes. By default the C library gives such pages
back to the system and asks for them again, and the system clears each one: at quickstart size 25,000 page faults an
iteration of PPO, 7 % of its time. Kept pages do not raise the peak.
"""

import ctypes
import os
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of mallopt's parameters in <malloc.h>
KEPT = 1 << 30  # free bytes at the top of the heap that are not given back
LARGEST = 64 << 20  # larger tensors get, and give back, pages of their own
HIGHEST = 32 << 20  # what an older C library takes at most for MMAP_THRESHOLD
OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Tell the GNU C library so; says whether it did. With another library, or settings of the user's own, nothing
    changes."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in OWN):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = any(mallopt(MMAP_THRESHOLD, size) for size in (LARGEST, HIGHEST))
    return bool(taken and mallopt(TRIM_THRESHOLD, KEPT))
