"""Benchmarks of `.npy` arrays: CIFAR-10-C, CIFAR-100-C and MNIST-C."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, UntrustedFile
from holdfast.readers.arrays import as_inputs, as_labels
from holdfast.readers.origin import Origin
from holdfast.readers.published.release import Asked, Family, Read, named, too_large
from holdfast.readers.split import sample
from holdfast.shifts.mnist_c import RELEASED
from holdfast.shifts.published import IMAGENET_C

LEVELS = 5
LABELS, DIGITS, DIGIT_LABELS = "labels.npy", "test_images.npy", "test_labels.npy"
PREFIX = "mnist-"  # of our own names of the corruptions of digits


def opened_array(path: Path) -> np.ndarray:
    """An array that stays in its file: only the rows that are taken are read.

    Raises:
        UntrustedFile: for Python objects, which would run code, and damaged files.
    """
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UntrustedFile(
            f"{path.parent.name}/{path.name} is no plain array: {str(error).splitlines()[0]}",
            fix="Fetch it again.", code="E0405",
        ) from None  # fmt: skip
    return found


def drawn(y: np.ndarray, asked: Asked) -> np.ndarray:
    """Positions of the rows that are read: the same ones in every part with these labels."""
    if asked.limit is None or asked.limit >= len(y):
        return np.arange(len(y))
    texts = (f"{asked.seed}/{k}".encode() for k in range(len(y)))
    keys = (hashlib.blake2b(t, digest_size=8).digest() for t in texts)
    return sample(np.frombuffer(b"".join(keys), np.uint64), y, asked.limit)


def fits(name: str, rows: int, shape: tuple[int, ...], max_bytes: int) -> None:
    """Refuse rows of a shape that would need more than `max_bytes` as float32."""
    if 4 * rows * int(np.prod(shape, dtype=object)) > max_bytes:
        raise too_large(name, max_bytes)


def block(images: Path, labels: Path, level: int, levels: int, asked: Asked) -> Batches:
    """The rows of one of several levels, each of which is a block of the same length.

    Args:
        images: array of images, level after level.
        labels: array of their labels, of all levels or of one.
        level: from 0.
        levels: how many there are.
        asked: how much.
    """
    x, y = opened_array(images), opened_array(labels)
    count = len(x) // levels if x.ndim > 2 else 0
    if not count or len(x) != count * levels or len(y) not in (count, len(x)):
        raise ShapeError(
            f"{images.parent.name}/{images.name} has shape {x.shape}, {labels.name} {y.shape}: "
            f"not {levels} levels of the same images",
            fix="Fetch both again.", code="E0203",
        )  # fmt: skip
    first = 0 if len(y) == count else level * count
    every, classes = as_labels(np.asarray(y[first : first + count]), f"{labels.name}: labels")
    rows = drawn(every.numpy(), asked)
    fits(images.name, len(rows), x.shape[1:], asked.max_bytes)
    return Batches(
        x=as_inputs(np.asarray(x[level * count + rows])), y=every[torch.from_numpy(rows)],
        index=torch.from_numpy(rows), classes=classes,
        truth=Origin(name=images.stem, total=count),
    )  # fmt: skip


def _levels(root: Path) -> Mapping[str, Read]:
    """`KIND/LEVEL` of the files `KIND.npy` beside `labels.npy`."""
    labels = root / LABELS
    if not labels.is_file():
        return {}
    kinds = [p for p in sorted(root.glob("*.npy")) if p != labels]
    return {
        f"{named(p.stem)}/{level + 1}": partial(block, p, labels, level, LEVELS)
        for p in kinds
        for level in range(LEVELS)
    }


def _digits(root: Path) -> Mapping[str, Read]:
    """`KIND` of the folders that hold the two arrays of the test set."""
    folders = sorted(p.parent for p in root.glob(f"*/{DIGITS}"))
    return {
        named(f.name): partial(block, f / DIGITS, f / DIGIT_LABELS, 0, 1)
        for f in folders
        if (f / DIGIT_LABELS).is_file()
    }


def _cifar(classes: int, link: str) -> Family:
    return Family(
        says=f"CIFAR-{classes} under 15 corruptions at five levels", link=link,
        layout="FOLDER/gaussian_noise.npy and FOLDER/labels.npy", parts=_levels,
        usual=lambda _: IMAGENET_C, kinds=True,
    )  # fmt: skip


FAMILIES = {
    "cifar-10-c": _cifar(10, "https://zenodo.org/record/2535967"),
    "cifar-100-c": _cifar(100, "https://zenodo.org/record/3555552"),
    "mnist-c": Family(
        says="MNIST under 15 corruptions", link="https://zenodo.org/record/3239543",
        layout="FOLDER/fog/test_images.npy and FOLDER/fog/test_labels.npy", parts=_digits,
        usual=lambda _: [k.removeprefix(PREFIX) for k in RELEASED], kinds=True, clean="identity",
        prefix=PREFIX,
    ),
}  # fmt: skip
