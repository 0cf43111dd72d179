"""How the kernels of this package are compiled; `native.Kernel` keeps what comes out and calls it.

The kernels release the GIL, look at one document at a time, take code points, offsets, tables and scratch as
contiguous arrays, and allocate nothing: so their machine code needs nothing of numba and of Python to run.
"""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile when first called, without numba's counting of references, which is for arrays that are allocated."""
    return numba.njit(nogil=True, error_model="numpy", _nrt=False)(function)
