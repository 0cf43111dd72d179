"""How the kernels of this package are compiled.

numba's cache looks at the file of the function that is called, and would not see a change of one that it calls in
another file; so each kernel file holds all that it calls. The kernels release the GIL, look at one document at a time,
and take code points, offsets and tables as contiguous arrays of one type, so each is compiled once for a machine.
"""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile once for this machine; without a folder that can be written, once a process."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(nogil=True, error_model="numpy")(function)
