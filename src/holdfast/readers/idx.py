"""The idx format of the MNIST family: a header of big-endian sizes, then raw bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import GZIP, MAX_BYTES, checked_size, head
from holdfast.readers.arrays import from_pair

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def start(path: Path) -> bytes:
    """The first bytes of a file, unpacked if it is gzipped."""
    first = head(path)
    if not first.startswith(GZIP):
        return first
    try:
        with gzip.open(path) as file:
            return file.read(512)
    except (OSError, EOFError, zlib.error):
        return first


def is_idx(first: bytes) -> bool:
    """Whether the first bytes are those of an idx file."""
    return len(first) >= 8 and first[:2] == b"\0\0" and first[2] in TYPES and 1 <= first[3] <= 4


def read_array(path: Path, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an idx file; exactly the bytes that its header announces are read.

    Raises:
        UntrustedFile: if the header announces more than the limit, or not what follows.
    """
    packed = head(path, 2) == GZIP
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            _, _, kind, axes = struct.unpack(">4B", file.read(4))
            shape = struct.unpack(f">{axes}I", file.read(4 * axes))
            size = math.prod(shape) * np.dtype(TYPES[kind]).itemsize
            checked_size(path.name, size, path.stat().st_size, max_bytes)
            body = file.read(size)
            rest = file.read(1)
    except (OSError, EOFError, zlib.error, struct.error, KeyError) as error:
        raise UntrustedFile(
            f"{path.name} is damaged: {error}", fix="Fetch it again.", code="E0411"
        ) from None
    if len(body) != size or rest:
        raise UntrustedFile(
            f"{path.name} announces {size} bytes of data and holds {'more' if rest else len(body)}",
            fix="Fetch it again.",
            code="E0411",
        )
    array = np.frombuffer(body, TYPES[kind]).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))


def _labels_beside(path: Path) -> Path:
    """The file of labels that belongs to a file of images."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    stem = name.removesuffix(".gz")
    for other in (name, stem, f"{stem}.gz"):
        if other != path.name and (path.parent / other).is_file():
            return path.parent / other
    raise ConfigError(
        f"{path.name} has no file of labels beside it", fix=f"Put {name} beside it.", code="E0134"
    )


def read_idx(path: Path, max_bytes: int = MAX_BYTES) -> Batches:
    """Images and the labels beside them: `t10k-images-idx3-ubyte[.gz]` finds `t10k-labels-...`."""
    images = read_array(path, max_bytes)
    labels = read_array(_labels_beside(path), max_bytes)
    return from_pair(images, labels, path.name)


def idx_in_folder(folder: Path) -> Path | None:
    """The images of a folder of idx files: those of the test set if there are several."""
    found = [
        p for p in sorted(folder.iterdir())
        if "images" in p.name and p.is_file() and is_idx(start(p))
    ]  # fmt: skip
    test = [p for p in found if p.name.startswith(("t10k", "test"))]
    return next(iter(test or found), None)
