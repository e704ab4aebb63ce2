"""How long `holdfast --help` and the help of every command take, in fresh processes.

The wall clock says what a person waits; the processor's time says what the program costs where the
machine has other work to do. Beside them: an interpreter that does nothing, and `import typer`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMANDS = (
    "", "demo", "audit", "harden", "ls", "show", "diff", "claim", "papers", "list", "doctor",
    "init",
)  # fmt: skip
LIMIT = 0.25
RUNS = int(os.environ.get("HOLDFAST_RUNS", "15"))


def seconds(line: list[str]) -> tuple[float, float]:
    """One fresh process: wall clock and processor."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *line], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return wall, used


def told(name: str, line: list[str]) -> float:
    """Print one line of the table; the median of the wall clock."""
    seconds(line)  # warms the file cache
    walls, used = zip(*(seconds(line) for _ in range(RUNS)), strict=True)
    numbers = (statistics.median(walls), min(walls), statistics.median(used), min(used))
    print(f"{name:<26}" + "".join(f"{1000 * n:10.0f}" for n in numbers), flush=True)
    return numbers[0]


def main() -> None:
    """Print the table; end with 1 if the median of a command is above the limit."""
    print(f"{'ms, of ' + str(RUNS):<26}{'median':>10}{'least':>10}{'cpu':>10}{'least cpu':>10}")
    told("python -c pass", ["-c", "pass"])
    told("import typer", ["-c", "import typer"])
    told("import holdfast", ["-c", "import holdfast"])
    slow = 0
    for command in COMMANDS:
        line = ["-m", "holdfast", *([command] if command else []), "--help"]
        slow += told(f"holdfast {command} --help".replace("  ", " "), line) > LIMIT
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
