"""When a command began: with its process, or, where a process runs several, when it was called."""

from __future__ import annotations

import os
import time
from contextvars import ContextVar

_BEGAN: ContextVar[float | None] = ContextVar("_BEGAN", default=None)


def with_process() -> None:
    """The command began as its process did: the start of Python and all imports count."""
    _BEGAN.set(time.monotonic() - age())


def just_now() -> None:
    """The command begins now, in a process that has done other things before."""
    _BEGAN.set(time.monotonic())


def began() -> float:
    """When the present command began, as `time.monotonic` tells it; now if nobody has said so."""
    at = _BEGAN.get()
    return time.monotonic() if at is None else at


def age() -> float:
    """Seconds since this process started; where the system does not tell, those of its processor,
    which are fewer."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[19])  # in ticks since the boot
        found = time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        found = 0.0
    return max(found, time.process_time())
