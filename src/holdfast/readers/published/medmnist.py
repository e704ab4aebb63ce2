"""MedMNIST and MedMNIST-C: `.npz` archives of images and labels, of which rows are streamed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import HoldfastError, ShapeError, UntrustedFile
from holdfast.readers.archive import is_zip, opened
from holdfast.readers.arrays import as_inputs, as_labels
from holdfast.readers.origin import Origin
from holdfast.readers.published.arrays import LEVELS, drawn, fits
from holdfast.readers.published.release import Asked, Family, Read, named
from holdfast.shifts.medmnist_levels import DATASETS

SPLITS = ("test", "val", "train")
WHOLE = 1 << 62  # an archive may be larger than what is read of it


@contextmanager
def member(path: Path, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
    """One array of an archive, open behind its header, with its shape and type.

    Raises:
        UntrustedFile: for Python objects, which would run code, and damaged files.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = getattr(np.lib.format, f"read_array_header_{version[0]}_0", None)
            shape, by_columns, dtype = read(file) if read is not None else ((), True, None)
            if dtype is None or dtype.hasobject or by_columns or not shape:
                raise ValueError("it holds no plain rows of numbers")
            yield file, shape, dtype
    except HoldfastError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UntrustedFile(
            f"{path.name}: {name} cannot be read: {str(error).splitlines()[0]}",
            fix="Fetch it again.", code="E0411",
        ) from None  # fmt: skip


def streamed(path: Path, name: str, rows: np.ndarray, max_bytes: int) -> np.ndarray:
    """The rows of an array at ascending positions; what lies between is passed over."""
    with member(path, name) as (file, shape, dtype):
        fits(path.name, len(rows), shape[1:], max_bytes)
        each, at, found = dtype.itemsize * int(np.prod(shape[1:], dtype=object)), 0, []
        for row in rows.tolist():
            file.seek(each * (row - at), 1)
            found.append(np.frombuffer(file.read(each), dtype).reshape(shape[1:]))
            at = row + 1
        return np.stack(found)


def block(path: Path, split: str, level: int, levels: int, asked: Asked) -> Batches:
    """The rows of one of several levels of one split, each of which is a block of its length."""
    with member(path, f"{split}_labels") as (_, shape, _):
        count = shape[0] // levels
    with member(path, f"{split}_images") as (_, shape_of_images, _):
        same = shape_of_images[0] == shape[0] == count * levels > 0
    if not same:
        raise ShapeError(
            f"{path.name} holds {shape_of_images[0]} images and {shape[0]} labels of the split "
            f"{split}: not {levels} levels of the same images",
            fix="Fetch it again.", code="E0203",
        )  # fmt: skip
    here = np.arange(level * count, (level + 1) * count)
    every, classes = as_labels(
        streamed(path, f"{split}_labels", here, asked.max_bytes), f"{path.name}: labels"
    )
    rows = drawn(every.numpy(), asked)
    images = streamed(path, f"{split}_images", here[rows], asked.max_bytes)
    return Batches(
        x=as_inputs(images), y=every[torch.from_numpy(rows)], index=torch.from_numpy(rows),
        classes=classes, truth=Origin(name=path.stem, total=count),
    )  # fmt: skip


def _splits(file: Path) -> Mapping[str, Read]:
    """`test`, `val` and `train` of one archive; the test set unless another one is named."""
    if not file.is_file() or not is_zip(file):
        return {}
    names = opened(file, WHOLE).names
    there = [s for s in SPLITS if {f"{s}_images.npy", f"{s}_labels.npy"} <= set(names)]
    return {split: partial(block, file, split, 0, 1) for split in there}


def _levels(root: Path) -> Mapping[str, Read]:
    """`KIND/LEVEL` of the archives `KIND.npz`, each of which holds five levels."""
    files = [f for f in sorted(root.glob("*.npz")) if is_zip(f)] if root.is_dir() else []
    for file in files:
        opened(file, WHOLE)
    found: dict[str, Read] = {
        f"{named(f.stem)}/{level + 1}": partial(block, f, "test", level, LEVELS)
        for f in files
        for level in range(LEVELS)
    }
    return found


def kinds_of(root: Path) -> tuple[str, ...]:
    """The corruptions that belong to the data set after which a folder is called."""
    return DATASETS.get(root.resolve().name.lower().removesuffix("mnist"), ())


FAMILIES = {
    "medmnist": Family(
        says="medical images, one set per archive", link="https://zenodo.org/records/10519652",
        layout="bloodmnist_224.npz", parts=_splits, usual=lambda _: ("test",),
    ),
    "medmnist-c": Family(
        says="MedMNIST under corruptions at five levels",
        link="https://zenodo.org/records/11471504", layout="bloodmnist/pixelate.npz",
        parts=_levels, usual=kinds_of, kinds=True,
    ),
}  # fmt: skip
