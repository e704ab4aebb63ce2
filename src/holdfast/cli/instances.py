"""A table of instances to verify: finished rows are on disk at once and are not run again."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import typer

from holdfast.core.errors import ConfigError, HoldfastError

COLUMNS = (
    "benchmark", "onnx", "vnnlib", "expected", "answer", "seconds", "domains", "timeout", "reason",
)  # fmt: skip
Row = dict[str, str]


def instances(index: Path) -> list[Row]:
    """The rows of an index: with a header, or `onnx,vnnlib,timeout` without.

    Raises:
        ConfigError: if it has no columns onnx and vnnlib.
    """
    if not index.is_file():
        raise ConfigError(
            f"there is no file {index}",
            fix=f"Name a file that exists; ls {index.parent} lists what is there.",
            code="E0189",
        )
    with index.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file) if line]
    if lines and "onnx" in lines[0] and "vnnlib" in lines[0]:
        return [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
    if any(len(line) < 2 or ".onnx" not in line[0] for line in lines):
        raise ConfigError(
            f"{index.name} has no columns onnx and vnnlib",
            fix="The first line names the columns: onnx,vnnlib,expected", code="E0188",
        )  # fmt: skip
    return [{"onnx": line[0].strip(), "vnnlib": line[1].strip()} for line in lines]


def finished(out: Path, limit: float) -> dict[tuple[str, str], Row]:
    """Rows that need not run again: answered, or not answered in at least as much time."""
    found: dict[tuple[str, str], Row] = {}
    if out.is_file():
        with out.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                whole = row.get("reason") is not None and row.get("answer")
                if whole and (row["answer"] != "unknown" or float(row["timeout"]) >= limit):
                    found[row["onnx"], row["vnnlib"]] = row
    return found


def run_table(
    index: Path, root: Path | None, out: Path, limit: float, attack: bool, seed: int, as_json: bool
) -> int:
    """Run what is not finished, compare with what is expected; the exit code."""
    rows, done = instances(index), finished(out, limit)
    where = root if root is not None else index.parent
    found: list[Row] = []
    for number, row in enumerate(rows, 1):
        key = row["onnx"], row["vnnlib"]
        result = done.get(key)
        if result is None:
            result = _one(row, where, limit, attack, seed)
            _append(out, result)
            if not as_json:
                mark = "" if _agrees(result) else f"  EXPECTED {result['expected']}"
                typer.echo(
                    f"{number}/{len(rows)}  {result['answer']:8}{float(result['seconds']):8.2f}s"
                    f"  {row['onnx']}  {row['vnnlib']}{mark}"
                )
        found.append(result)
    return _told(found, as_json=as_json)


def _one(row: Row, where: Path, limit: float, attack: bool, seed: int) -> Row:
    """One instance; what goes wrong with it is its reason."""
    from holdfast.cli.verify import decided

    answer, seconds, domains, reason = "unknown", 0.0, 0, ""
    try:
        got, _ = decided(
            str(where / row["onnx"]), str(where / row["vnnlib"]), limit, attack=attack, seed=seed
        )
        answer, seconds, domains, reason = got.answer, got.seconds, got.domains, got.reason
    except (HoldfastError, MemoryError) as error:
        reason = f"{type(error).__name__}: {getattr(error, 'says', error)}"
    values: dict[str, Any] = {
        "benchmark": row.get("benchmark") or Path(row["onnx"]).parts[0],
        "onnx": row["onnx"], "vnnlib": row["vnnlib"], "expected": row.get("expected", ""),
        "answer": answer, "seconds": round(seconds, 3), "domains": domains, "timeout": limit,
        "reason": reason.replace("\n", " "),
    }  # fmt: skip
    return {name: str(value) for name, value in values.items()}


def _append(out: Path, row: Row) -> None:
    """Put a row on disk, with the names of the columns if it is the first."""
    fresh = not out.is_file() or not out.stat().st_size
    with out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def _agrees(row: Row) -> bool:
    both = {row["answer"], row["expected"]}
    return not both <= {"sat", "unsat"} or len(both) == 1


def _told(rows: list[Row], *, as_json: bool) -> int:
    """Print the table by family; the exit code."""
    families: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        families[row["benchmark"]].append(row)
    table = {}
    for name, own in [*families.items(), ("all", rows)]:
        answers = [row["answer"] for row in own]
        table[name] = {
            "instances": len(own), "unsat": answers.count("unsat"), "sat": answers.count("sat"),
            "unknown": answers.count("unknown"), "differ": sum(not _agrees(row) for row in own),
            "seconds": round(sum(float(row["seconds"]) for row in own), 2),
        }  # fmt: skip
    if as_json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(table), nl=False)
    else:
        heads = list(table["all"])
        typer.echo(f"\n{'':24}" + "".join(f"{head:>11}" for head in heads))
        for name, numbers in table.items():
            typer.echo(f"{name:24}" + "".join(f"{numbers[head]:>11}" for head in heads))
    total = table["all"]
    return 1 if total["differ"] else 3 if total["unknown"] else 0
