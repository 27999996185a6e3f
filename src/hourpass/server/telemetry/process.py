"""What the system knows about this process: CPU time, memory, descriptors. Each is asked by the name of its count."""

import math
import resource
import time
from collections.abc import Callable
from pathlib import Path

_FDS = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")


def _resident() -> float:
    try:
        return float(_MEMORY.read_bytes().split()[1]) * resource.getpagesize()
    except OSError:  # another system than Linux knows only the most that it ever was
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _descriptors() -> float:
    try:
        # Linux tells the number as the folder's size. To list 10,000 of them would take milliseconds.
        return float(_FDS.stat().st_size or sum(1 for _ in _FDS.iterdir()))
    except OSError:
        return math.nan


def _most_descriptors() -> float:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return math.inf if limit == resource.RLIM_INFINITY else float(limit)


VALUES: dict[str, Callable[[], float]] = {
    "memory": _resident,
    "fds": _descriptors,
    "max_fds": _most_descriptors,
}
TOTALS: dict[str, Callable[[], float]] = {"cpu": time.process_time}
"""These only grow, and begin with the process."""
