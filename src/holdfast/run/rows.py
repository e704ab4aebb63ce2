"""Numbers row by row, kept beside their cell, so that two runs can be compared on shared rows.

A check says `told(name, values, batches)`; whoever runs it hears that, and the numbers lie as
arrays beside the finished cell and in the folder of the run. Each row is known by the digest of
its content, input and label, never by its place: other rows, another order or another draw of
`--limit` leave the pairs as they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.run.writing import write

if TYPE_CHECKING:
    from holdfast.core.data import Batches

FILE = "rows.npz"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """One number per row.

    The reading is the sum over groups of the absolute sum of its values, over n; with one group
    of values >= 0 that is their mean.

    Args:
        keys: `(n,)` uint64, what each row holds.
        values: `(n,)` float64.
        group: `(n,)` int64, as the bin of a calibration error; None for one group.
    """

    keys: Array
    values: Array
    group: Array | None = None

    def take(self, index: Array) -> Rows:
        """A selection of the rows."""
        group = None if self.group is None else self.group[index]
        return Rows(self.keys[index], self.values[index], group)


Table = dict[str, Rows]
_HERE: ContextVar[Table | None] = ContextVar("rows", default=None)


@contextmanager
def heard() -> Iterator[Table]:
    """Hear what the checks of a block tell row by row."""
    table: Table = {}
    token = _HERE.set(table)
    try:
        yield table
    finally:
        _HERE.reset(token)


def told(name: str, values: Any, batches: Batches, group: Any = None) -> None:
    """Tell the number behind a reading row by row; heard by whoever runs the check, or by nobody.

    Args:
        name: of the reading.
        values: `(n,)` tensor of numbers or truth values, in the order of the rows.
        batches: the rows.
        group: `(n,)` whole numbers, where the reading adds up groups.
    """
    table = _HERE.get()
    if table is None:
        return
    flat = values.detach().cpu().double().numpy()
    if np.isfinite(flat).all() and len(flat) == len(batches):
        groups = None if group is None else group.detach().cpu().long().numpy()
        table[name] = Rows(keys_of(batches), flat, groups)


def keys_of(batches: Batches) -> Array:
    """`(n,)` digests of the content of rows; equal rows are told apart by how often they came."""
    seen: dict[bytes, int] = {}
    keys = []
    for content in _contents(batches):
        mark = hashlib.blake2b(content, digest_size=8).digest()
        seen[mark] = count = seen.get(mark, 0) + 1
        again = mark + count.to_bytes(8, "little")
        keys.append(mark if count == 1 else hashlib.blake2b(again, digest_size=8).digest())
    return np.frombuffer(b"".join(keys), dtype="<u8").astype(np.uint64)


def _contents(batches: Batches) -> Iterator[bytes]:
    """Input and label of each row as bytes."""
    x = batches.x
    columns = [x[k] for k in sorted(x)] if isinstance(x, Mapping) else [x]
    parts = [c if isinstance(c, list | tuple) else _array(c) for c in (*columns, batches.y)]
    for row in range(len(batches)):
        held = [p[row].encode() if isinstance(p[row], str) else p[row].tobytes() for p in parts]
        yield b"".join(len(h).to_bytes(8, "little") + h for h in held)


def _array(tensor: Any) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def packed(table: Table) -> bytes:
    """A table as an npz file without objects; equal tables, equal bytes. Keys are held once."""
    arrays: dict[str, Array] = {}
    lines, places = list[tuple[str, int]](), dict[bytes, int]()
    for name in sorted(table):
        rows = table[name]
        keys = places.setdefault(rows.keys.tobytes(), len(places))
        arrays[f"keys{keys}"] = rows.keys
        arrays[f"values{len(lines)}"] = _small(rows.values)
        if rows.group is not None:
            arrays[f"group{len(lines)}"] = rows.group.astype(np.int32)
        lines.append((name, keys))
    arrays["names"] = np.frombuffer(json.dumps(lines).encode(), dtype=np.uint8)
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)  # type: ignore[arg-type]  # its flag is not among them
    return held.getvalue()


def _small(values: Array) -> Array:
    """The same numbers in the smallest type that holds them."""
    bits = values.astype(bool)
    return bits if np.array_equal(bits, values) else values


def unpacked(file: Path) -> Table:
    """The table of a file; empty if there is none, or if it cannot be read as one."""
    try:
        with np.load(file, allow_pickle=False) as held:
            lines = json.loads(held["names"].tobytes())
            return {
                name: Rows(
                    held[f"keys{keys}"], held[f"values{k}"].astype(np.float64),
                    held[f"group{k}"] if f"group{k}" in held.files else None,
                )
                for k, (name, keys) in enumerate(lines)
            }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return {}


def beside(root: Path, cell: str) -> Path:
    """The file of a cell's rows within the folder of cells."""
    return root / cell[:2] / f"{cell}.npz"


def keep(file: Path, table: Table) -> None:
    """Put a table into a file; an empty one writes none."""
    if table:
        write(file, packed(table))
