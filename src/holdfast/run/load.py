"""How busy the machine is: what was timed under load is no guide to quiet hours, nor they to it."""

from __future__ import annotations

import time

BUSIEST = 50.0
TRIES = 4  # to read two clocks at one moment


def busy() -> float:
    """Seconds that pass for one in which this process works, 1 to 50; 1 where nobody can tell.

    Linux counts how long a process waited for a processor. Waiting for anything else, a disk or
    another computer, is no load.
    """
    worked, waited = _told()
    return min(1 + waited / worked, BUSIEST) if worked > 0 else 1.0


def clock() -> float:
    """Seconds, as `time.perf_counter` tells them, that stand still while a processor is awaited.

    Both are read at one moment: a processor that was lost between the two readings would make
    time run backwards, so they are read again.
    """
    for _ in range(TRIES):
        before, now, after = _told()[1], time.perf_counter(), _told()[1]
        if before == after:
            break
    return now - after


def _told() -> tuple[float, float]:
    """Seconds that this process worked, and that it waited for a processor."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            worked, waited, _ = (1e-9 * int(word) for word in file.read().split())
    except (OSError, ValueError):
        return 0.0, 0.0
    return worked, waited
