"""Arrays become rows: `.npz` files and anything that numpy understands.

Images: uint8 is divided by 255; `(N, H, W)` gets one channel; `(N, a, b, c)` counts as channels
first if `a` is 1 or 3, else as channels last (and is turned) if `c` is 1, 3 or 4, else as channels
first. Two axes are a table.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES, opened
from holdfast.readers.origin import Origin

FIRST, LAST = (1, 3), (1, 3, 4)
MOST_CLASSES = 100_000
# Headers are parsed as Python literals, members are inflated.
_STUMBLES = (TokenError, SyntaxError, RecursionError, MemoryError, zlib.error, struct.error)
PAIRS = (("x", "y"), ("images", "labels"), ("x_test", "y_test"), ("data", "target"),
         ("test_images", "test_labels"))  # fmt: skip


def as_inputs(array: Any) -> Tensor:
    """Inputs as float tensors, images `(N, C, H, W)`, uint8 divided by 255."""
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
    array = np.asarray(array)
    if array.ndim < 2 or array.dtype.kind not in "buif":
        raise ShapeError(
            f"inputs have shape {array.shape} and type {array.dtype}",
            fix="Give numbers, rows first: (N, columns) or (N, C, H, W).",
            code="E0203",
        )
    wide = array.dtype == np.float64 and array.ndim > 2
    values = array.astype(np.float32) if array.dtype != np.float64 or wide else array
    if array.dtype == np.uint8 and array.ndim > 2:
        values = values / np.float32(255)
    if array.ndim == 3:
        values = values[:, None]
    elif array.ndim == 4 and array.shape[1] not in FIRST and array.shape[3] in LAST:
        values = np.moveaxis(values, 3, 1)
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def as_labels(array: Any, name: str = "labels") -> tuple[Tensor, tuple[str, ...]]:
    """Labels as int64 with the names of the classes; texts are numbered in sorted order."""
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
    array = np.asarray(array)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "USO":
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in array]
        classes, codes = np.unique(texts, return_inverse=True)
        return torch.from_numpy(codes.astype(np.int64)), tuple(str(c) for c in classes)
    whole = array.ndim == 1 and array.dtype.kind in "buif" and bool((array == array.round()).all())
    if not whole or (len(array) and int(array.min()) < 0 and set(array[array < 0]) != {-100}):
        raise ShapeError(
            f"{name} have shape {array.shape} and type {array.dtype}, not one class per row",
            fix="Give whole numbers from 0, or names; -100 where there is no label.",
            code="E0204",
        )
    if len(array) and float(array.max()) >= MOST_CLASSES:  # before the cast, which may wrap round
        raise ShapeError(
            f"{name} go up to {array.max():g}", fix="Number the classes from 0.", code="E0204"
        )
    y = torch.from_numpy(array.astype(np.int64))
    return y, tuple(str(k) for k in range(int(y.max()) + 1 if len(y) else 0))


def from_pair(x: Any, y: Any, name: str, classes: tuple[str, ...] = ()) -> Batches:
    """Rows out of a pair of arrays or tensors."""
    inputs, (labels, named) = as_inputs(x), as_labels(y)
    form = "table" if inputs.dim() == 2 else "images" if inputs.dim() == 4 else "tensor"
    columns = tuple(f"x{k}" for k in range(inputs.shape[1])) if form == "table" else ()
    names = classes if len(classes) >= len(named) else named
    truth = Origin(name=name, form=form, columns=columns, total=len(labels))
    return Batches(x=inputs, y=labels, classes=names, truth=truth)


def member(file: zipfile.ZipFile, name: str, archive: str) -> np.ndarray:
    """One array of an archive; object arrays (pickles) and lying headers are refused.

    Raises:
        UntrustedFile: if it is refused.
        ValueError: if it is damaged, whatever the parsers of the format stumble over.
    """
    try:
        return _read(file, name, archive)
    except _STUMBLES as error:
        raise ValueError(f"{name} cannot be read ({type(error).__name__})") from None


def _read(file: zipfile.ZipFile, name: str, archive: str) -> np.ndarray:
    size = file.getinfo(name).file_size
    with file.open(name) as raw:
        version = np.lib.format.read_magic(raw)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0", None)
        if read is None:
            raise ValueError(f"unknown version {version}")
        shape, _, dtype = read(raw)
    if dtype.hasobject:
        raise UntrustedFile(
            f"{archive}: {name} holds Python objects, and reading them would run code",
            fix="Save plain numbers or texts: numpy.savez(file, x=x, y=y.astype(str))",
            code="E0405",
        )
    if dtype.itemsize * int(np.prod(shape, dtype=object)) > size:
        raise UntrustedFile(
            f"{archive}: {name} claims shape {shape} but holds {size} bytes",
            fix="Save it again.", code="E0411",
        )  # fmt: skip
    with file.open(name) as raw:
        found: np.ndarray = np.lib.format.read_array(raw, allow_pickle=False)
    return found


def read_npz(path: Path, max_bytes: int = MAX_BYTES) -> Batches:
    """Rows of an `.npz` file that holds `x` and `y`, or `images` and `labels`.

    Raises:
        UntrustedFile: for object arrays, zip bombs and broken archives.
        ConfigError: if it holds other names.
    """
    archive = opened(path, max_bytes)
    with zipfile.ZipFile(path) as file:
        names = {n.removesuffix(".npy"): n for n in file.namelist() if n.endswith(".npy")}
        pair = next((p for p in PAIRS if p[0] in names and p[1] in names), None)
        if pair is None:
            raise ConfigError(
                f"{path.name} holds {', '.join(sorted(archive.names)[:8]) or 'nothing'}; "
                "looked for x and y, or images and labels",
                fix="numpy.savez(file, x=inputs, y=labels)",
                code="E0133",
            )
        try:
            x, y = (member(file, names[n], path.name) for n in pair)
            named = member(file, names["classes"], path.name) if "classes" in names else ()
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UntrustedFile(
                f"{path.name} is damaged: {error}", fix="Save it again.", code="E0411"
            ) from None
    return from_pair(x, y, path.name, tuple(str(c) for c in named))
