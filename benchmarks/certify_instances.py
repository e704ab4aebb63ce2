"""Complete verification: what share of the public instances is decided, and how soon.

Run `python benchmarks/certify_instances.py [FAMILY ...]`. `HOLDFAST_BENCH` names a folder with ONNX
and VNN-LIB files and their `index.csv` (columns benchmark, onnx, vnnlib, expected); without it
nothing is measured. Each family is run by `holdfast verify --index`, whose tables stand in
`build/benchmarks/instances`: the same command again continues them, and writes the section from
what is there. Delete a table to measure it anew.
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path

from page import write

LIMITS = {"mnist_fc": 120, "oval21": 300}  # seconds of wall clock; all others have
LIMIT = 60
TABLES = Path(__file__).parents[1] / "build" / "benchmarks" / "instances"
Row = dict[str, str]


def split(folder: Path) -> dict[str, Path]:
    """One index per family, of the instances whose files are there."""
    families: dict[str, list[Row]] = {}
    with (folder / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (folder / row["onnx"]).exists() and (folder / row["vnnlib"]).exists():
                families.setdefault(row["benchmark"], []).append(row)
    found = {}
    for name, rows in sorted(families.items(), key=lambda item: LIMITS.get(item[0], 0)):
        found[name] = TABLES / f"{name}.index.csv"
        with found[name].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return found


def run(name: str, index: Path, folder: Path) -> None:
    """Run what is not finished of a family, in a process of its own with one thread."""
    limit, out = LIMITS.get(name, LIMIT), TABLES / f"{name}.csv"
    command = [
        *(sys.executable, "-m", "holdfast", "verify", "--index", index, "--root", folder),
        *("--out", out, "--timeout", limit),
    ]
    done = subprocess.run(
        [str(part) for part in command], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"{name}: holdfast verify ended with {done.returncode}")


def line(name: str, index: Path) -> str:
    """The row of a family: what was decided, rightly, how soon."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with index.open(encoding="utf-8") as file:
        asked = sum(1 for _ in csv.DictReader(file))
    decided = [row for row in rows if row["answer"] in ("sat", "unsat")]
    other = [row["answer"] for row in decided if row["answer"] != row["expected"]]
    seconds = sorted(float(row["seconds"]) for row in decided)
    soon = sum(value <= LIMIT for value in seconds)
    counts = [sum(row["answer"] == word for row in rows) for word in ("unsat", "sat")]
    run_of = str(len(rows)) if len(rows) == asked else f"{len(rows)} of {asked}"
    middle, longest = (statistics.median(seconds), seconds[-1]) if seconds else (0.0, 0.0)
    return (
        f"| {name} | {run_of} | {counts[0]} | {counts[1]} | {len(rows) - len(decided)} "
        f"| {other.count('unsat')} | {other.count('sat')} "
        f"| {soon / max(len(rows), 1):.1%} | {LIMITS.get(name, LIMIT)} | {middle:.2f} "
        f"| {longest:.1f} | {sum(seconds):.0f} |"
    )


def main() -> None:
    """Run the families and write the section."""
    where = os.environ.get("HOLDFAST_BENCH")
    if not where:
        sys.stderr.write("HOLDFAST_BENCH names no folder: no instances are measured\n")
        return
    TABLES.mkdir(parents=True, exist_ok=True)
    indexes = split(Path(where))
    only = sys.argv[1:] or list(indexes)
    for name in only:
        run(name, indexes[name], Path(where))
    lines = [
        "`holdfast verify --index` on public instances, one thread on a CPU, seconds of wall "
        "clock without the reading of files. Proved, yet labelled sat by the competitions: an "
        "error of ours. Witness, yet labelled unsat: the label does not belong to these files, for "
        "onnxruntime gives the unsafe output at that very input. The share is of all instances "
        "that were run.", "",
        "| family | instances | unsat | sat | unknown | proved, labelled sat "
        "| witness, labelled unsat | decided within 60 s | limit, s | median s | longest s "
        "| s in all, decided |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [line(name, indexes[name]) for name in indexes if (TABLES / f"{name}.csv").is_file()]
    write("Certify: instances", "\n".join(lines))


if __name__ == "__main__":
    main()
