"""How busy the machine is: what was timed under load is no guide to quiet hours, nor they to it."""

from __future__ import annotations

BUSIEST = 50.0


def busy() -> float:
    """Seconds that pass for one in which this process works, 1 to 50; 1 where nobody can tell.

    Linux counts how long a process waited for a processor. Waiting for anything else, a disk or
    another computer, is no load.
    """
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            worked, waited, _ = (int(word) for word in file.read().split())
    except (OSError, ValueError):
        return 1.0
    return min(1 + waited / worked, BUSIEST) if worked > 0 else 1.0
