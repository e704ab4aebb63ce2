"""How long `holdfast --help` and the help of every command take: median of fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = ("", "demo", "audit", "harden", "ls", "show", "diff", "claim", "papers", "list", "init")
LIMIT = 0.25


def seconds(command: str) -> float:
    """One fresh process."""
    line = [sys.executable, "-m", "holdfast", *([command] if command else []), "--help"]
    start = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the medians; end with 1 if one is above the limit."""
    slow = 0
    for command in COMMANDS:
        seconds(command)  # warms the file cache
        median = statistics.median(seconds(command) for _ in range(9))
        slow += median > LIMIT
        print(f"holdfast {command:<8} --help   {1000 * median:6.0f} ms")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
