"""Tables: CSV, TSV and Parquet, read by DuckDB in memory, without extensions or network.

Columns must be numbers (or true and false). Text columns are refused: how the model wants them
coded is only known to who trained it, and a made-up code would be attacked as if it were a length.
"""

from __future__ import annotations

import gzip
import zlib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import GZIP, MAX_BYTES, checked_size, head
from holdfast.readers.arrays import as_labels
from holdfast.readers.origin import Origin
from holdfast.run.query import engine

USUAL_TARGETS = ("target", "label", "class", "y", "labels", "outcome")


def _columns(path: Path, parquet: bool, target: str | None, max_bytes: int) -> dict[str, Any]:
    """All columns by name; the file is handed over as a relation, never as SQL text."""
    import duckdb

    # A glob character in the name of the file would make DuckDB read other files.
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve()))
    try:
        with engine() as base:
            if parquet:
                table = base.read_parquet(name)
            else:
                packed = _unpacked(path, max_bytes)
                table = base.read_csv(name, compression=packed)
            kinds = dict(zip(table.columns, map(str, table.types), strict=True))
            own = target_of(list(kinds), target, path.name)
            for column, kind in kinds.items():  # what cannot be used is not fetched
                if column != own:
                    _number(column, kind, path.name)
            if parquet:
                ((count,),) = table.aggregate("count(*)").fetchall()  # out of the footer alone
                checked_size(path.name, 8 * count * len(kinds), path.stat().st_size, max_bytes)
            elif kinds[own] == "BOOLEAN":  # yes and no are names
                table = base.read_csv(name, compression=packed, dtype={own: "VARCHAR"})
            found: dict[str, Any] = table.fetchnumpy()
    except duckdb.Error as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}",
            fix="Save it as CSV with a header line, or as Parquet.",
            code="E0414",
        ) from None
    return found


def _unpacked(path: Path, max_bytes: int) -> Literal["none", "gzip"]:
    """How a text file is packed; one that would unpack to too much is refused."""
    if head(path, 2) != GZIP:
        return "none"
    size, packed = 0, path.stat().st_size
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                size += len(piece)
                checked_size(path.name, size, packed, max_bytes, whole=False)
    except (OSError, EOFError, zlib.error) as error:
        raise UntrustedFile(
            f"{path.name} is damaged: {error}", fix="Save it again.", code="E0411"
        ) from None
    return "gzip"


def _number(column: str, kind: str, file: str) -> None:
    """Refuse a column that holds no numbers."""
    if kind.startswith(("VARCHAR", "DATE", "TIME", "BLOB", "INTERVAL", "UUID", "ENUM")) or (
        kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    ):
        what = "dates" if kind.startswith(("DATE", "TIME", "INTERVAL")) else "texts"
        raise ShapeError(
            f"{file}: column {column!r} holds {what}",
            fix="Write the numbers that the model is given into the file, or leave the column out.",
            code="E0206",
        )


def target_of(columns: list[str], target: str | None, name: str) -> str:
    """The column of the class, if it is there.

    Raises:
        ConfigError: with the most likely column to name.
    """
    if target in columns:
        return str(target)
    usual = [c for c in columns if c.lower() in USUAL_TARGETS]
    near = get_close_matches(target, columns, 1, 0.3) if target else []
    best = (near or usual or columns[-1:] or ["COLUMN"])[0]
    shown = ", ".join(columns[:8]) + (" ..." if len(columns) > 8 else "")
    says = f"{name} has no column {target!r}" if target else f"{name}: which column is the class?"
    raise ConfigError(f"{says} It has {shown}", fix=f"Say it: --target {best}", code="E0132")


def _numbers(name: str, values: Any, file: str) -> np.ndarray:
    missing = int(np.ma.getmaskarray(values).sum()) if np.ma.isMaskedArray(values) else 0
    plain = np.ma.getdata(values) if np.ma.isMaskedArray(values) else np.asarray(values)
    if plain.dtype.kind not in "buif":
        _number(name, "DATE" if plain.dtype.kind in "mM" else "VARCHAR", file)
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
    columns = _columns(path, parquet, target, max_bytes)
    own = str(target)  # it is there: `_columns` has looked
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
