"""Tables: CSV, TSV and Parquet, read by DuckDB in memory, without extensions or network.

Columns must be numbers (or true and false). Text columns are refused: how the model wants them
coded is only known to who trained it, and a made-up code would be attacked as if it were a length.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.arrays import as_labels
from holdfast.readers.origin import Origin

USUAL_TARGETS = ("target", "label", "class", "y", "labels", "outcome")


def _columns(path: Path, parquet: bool, target: str | None) -> dict[str, Any]:
    """All columns by name; the file is handed over as a relation, never as SQL text."""
    import duckdb

    # A glob character in the name of the file would make DuckDB read other files.
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve()))
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": "2",
    }
    try:
        with duckdb.connect(":memory:", config=settings) as base:
            table = base.read_parquet(name) if parquet else base.read_csv(name)
            kinds = dict(zip(table.columns, map(str, table.types), strict=True))
            if not parquet and target is not None and kinds.get(target) == "BOOLEAN":
                table = base.read_csv(name, dtype={target: "VARCHAR"})  # yes and no are names
            found: dict[str, Any] = table.fetchnumpy()
    except duckdb.Error as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}",
            fix="Save it as CSV with a header line, or as Parquet.",
            code="E0414",
        ) from None
    return found


def _target(columns: dict[str, Any], target: str | None, name: str) -> str:
    if target in columns:
        return str(target)
    usual = [c for c in columns if c.lower() in USUAL_TARGETS]
    near = get_close_matches(target, list(columns), 1, 0.3) if target else []
    best = (near or usual or list(columns)[-1:] or ["COLUMN"])[0]
    shown = ", ".join(list(columns)[:8]) + (" ..." if len(columns) > 8 else "")
    says = f"{name} has no column {target!r}" if target else f"{name}: which column is the class?"
    raise ConfigError(f"{says} It has {shown}", fix=f"Say it: --target {best}", code="E0132")


def _numbers(name: str, values: Any, file: str) -> np.ndarray:
    missing = int(np.ma.getmaskarray(values).sum()) if np.ma.isMaskedArray(values) else 0
    plain = np.ma.getdata(values) if np.ma.isMaskedArray(values) else np.asarray(values)
    if plain.dtype.kind not in "buif":
        raise ShapeError(
            f"{file}: column {name!r} holds {'texts' if plain.dtype.kind in 'OSU' else 'dates'}",
            fix="Write the numbers that the model is given into the file, or leave the column out.",
            code="E0206",
        )
    missing += int(np.isnan(plain).sum()) if plain.dtype.kind == "f" and not missing else 0
    if missing:
        raise ShapeError(
            f"{file}: column {name!r} has no value in {missing} of {len(plain)} rows",
            fix="Fill the gaps as for training, or remove these rows.",
            code="E0207",
        )
    return plain.astype(np.float64)


def read_table(
    path: Path, target: str | None = None, *, parquet: bool = False, max_bytes: int = MAX_BYTES
) -> Batches:
    """Rows of a table as they stand in the file; they are scaled when they join a model.

    Args:
        path: of the file.
        target: the column of the class, numbers from 0 or names.
        parquet: whether it is a Parquet file.
        max_bytes: largest size of the file.
    """
    if path.stat().st_size > max_bytes:
        raise ConfigError(
            f"{path.name} is larger than {max_bytes:,} bytes",
            fix="Raise --max-bytes.",
            code="E0135",
        )
    columns = _columns(path, parquet, target)
    own = _target(columns, target, path.name)
    answers = columns.pop(own)
    if np.ma.isMaskedArray(answers) and np.ma.getmaskarray(answers).any():
        raise ShapeError(
            f"{path.name}: {own!r} has gaps", fix="Remove rows without a class.", code="E0207"
        )
    if not columns:
        raise ShapeError(f"{path.name} has no column but {own!r}", fix="Add inputs.", code="E0206")
    y, classes = as_labels(np.ma.getdata(answers), f"{path.name}: values of {own!r}")
    x = np.stack([_numbers(n, v, path.name) for n, v in columns.items()], 1)
    return Batches(
        x=torch.from_numpy(x.astype(np.float32)),
        y=y,
        classes=classes,
        truth=Origin(name=path.name, form="table", columns=tuple(columns), total=len(y)),
    )
