"""Parquet files as shards of one table: numbers as the model is given them, and the class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.tables import USUAL_TARGETS
from holdfast.run.query import engine


def _asked(path: Path, words: str, *given: Any) -> Any:
    """One question about a Parquet file, its name handed over as a value and never as SQL."""
    import duckdb

    safe = "".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve()))
    try:
        with engine(threads=1) as base:
            return base.execute(words, [safe, *given]).fetchnumpy()
    except duckdb.Error as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as Parquet: {str(error).splitlines()[0]}",
            fix="Write it again.", code="E0420",
        ) from None  # fmt: skip


def count(path: Path) -> int:
    """Rows of a file, from its footer alone."""
    return int(_asked(path, "select count(*) as n from read_parquet(?)")["n"][0])


def columns(found: list[Path], target: str | None) -> tuple[str, int]:
    """The column of the class, and how many others there are; alike in all shards."""
    first: dict[str, str] = {}
    for path in found:
        table = _asked(path, "describe select * from read_parquet(?)")
        kinds = dict(zip(table["column_name"], map(str, table["column_type"]), strict=True))
        if (first := first or kinds) != kinds:
            odd = sorted({*first.items()} ^ {*kinds.items()})[0][0]
            raise UntrustedFile(
                f"{path.name}: column {odd!r} differs from that of {found[0].name}",
                fix="Write all shards with the same columns.", code="E0421",
            )  # fmt: skip
    usual = [c for c in first if c.lower() in USUAL_TARGETS]
    own = target or (usual or [""])[0]
    if own not in first:
        raise ConfigError(
            f"the shards have no column {own!r}, they have {', '.join(list(first)[:8])}",
            fix=f"Say which is the class: --target {list(first)[-1]}", code="E0132",
        )  # fmt: skip
    for column, kind in first.items():
        whole = "INT" in kind and "VAL" not in kind
        if not (whole or (column != own and kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")))):
            must = "whole numbers from 0" if column == own else "numbers"
            raise UntrustedFile(
                f"column {column!r} of the shards is {kind}, and must be {must}",
                fix="Write numbers, as the model is given them.", code="E0422",
            )  # fmt: skip
    return own, max(len(first) - 1, 1)


def rows(path: Path, target: str, first: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `(many, d)` of single precision and labels, from row `first` on."""
    words = (
        "select * exclude (file_row_number) from read_parquet(?, file_row_number=true) "
        "where file_row_number >= ? and file_row_number < ? order by file_row_number"
    )
    table = _asked(path, words, first, first + many)
    for column, values in table.items():
        if np.ma.getmaskarray(values).any() or (column != target and np.isnan(values).any()):
            raise UntrustedFile(
                f"{path.name}: column {column!r} has gaps", fix="Fill them.", code="E0422"
            )
    y = np.ma.getdata(table.pop(target)).astype(np.int64)
    x = np.stack([np.ma.getdata(v).astype(np.float32) for v in table.values()], 1)
    return x, y
