"""Folders of images: `root/class/picture.png`, classes in sorted order."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.origin import Origin
from holdfast.readers.split import sample

# No EPS, PS or PDF: their readers start other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
SPLITS = ("test", "val", "valid", "validation", "train")
GREY = ("1", "L", "I;16", "I;16B", "I;16L", "I")


def _folders(root: Path) -> list[Path]:
    """The folders inside, sorted by name; hidden ones are passed over."""
    found = (p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(found, key=lambda p: p.name)


def _pictures(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def class_folders(root: Path) -> list[Path]:
    """The folders of the classes: those of `root/test` where the root holds splits."""
    inside = _folders(root)
    names = [p.name for p in inside]
    if inside and set(names) <= set(SPLITS):
        chosen = next(s for s in SPLITS if s in names)
        inside = _folders(root / chosen)
    return inside


def _array(path: Path, grey: bool) -> np.ndarray:
    from PIL import Image

    with Image.open(path, formats=FORMATS) as picture:
        if picture.mode.startswith("I"):
            return np.asarray(picture, np.float32)[None] / np.float32(65535)
        flat = np.asarray(picture.convert("L" if grey else "RGB"), np.float32) / np.float32(255)
    return flat[None] if grey else np.moveaxis(flat, 2, 0)


def _headers(paths: list[Path]) -> tuple[bool, tuple[int, int]]:
    """Whether all pictures are grey, and their one size; only headers are read."""
    from PIL import Image

    grey, first, size = True, paths[0], (0, 0)
    for path in paths:
        try:
            with Image.open(path, formats=FORMATS) as picture:
                mode, own = picture.mode, picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UntrustedFile(
                f"{path.parent.name}/{path.name} is no readable picture ({type(error).__name__})",
                fix="Remove it, or save it as PNG.",
                code="E0413",
            ) from None
        grey = grey and mode in GREY
        if path is first:
            size = own
        elif own != size:
            raise ShapeError(
                f"{first.parent.name}/{first.name} has {size[0]}x{size[1]} pixels, "
                f"{path.parent.name}/{path.name} has {own[0]}x{own[1]}",
                fix="Bring all pictures to the size that the model expects.",
                code="E0205",
            )
    return grey, size


def _tensor(paths: list[Path], max_bytes: int) -> torch.Tensor:
    grey, (width, height) = _headers(paths)
    shape = (len(paths), 1 if grey else 3, height, width)
    if 4 * int(np.prod(shape, dtype=object)) > max_bytes:
        raise ConfigError(
            f"{len(paths)} pictures of {width}x{height} need more than {max_bytes:,} bytes",
            fix="Draw a sample with --limit 1000, or raise --max-bytes.",
            code="E0135",
        )
    x = np.empty(shape, np.float32)
    for row, path in enumerate(paths):
        try:
            x[row] = _array(path, grey)
        except (OSError, ValueError, SyntaxError) as error:
            raise UntrustedFile(
                f"{path.parent.name}/{path.name} is damaged ({error})",
                fix="Remove it.", code="E0413",
            ) from None  # fmt: skip
    return torch.from_numpy(x)


def read_folder(
    root: Path, *, limit: int | None = None, seed: int = 0, max_bytes: int = MAX_BYTES
) -> Batches:
    """All pictures of a folder with one folder per class, in [0, 1], all of one size.

    Args:
        root: holds one folder per class, or `test`, `val` and `train` that do (the first of
            these that is there is read).
        limit: draw a stratified sample before anything is decoded, by a hash of the file names.
        seed: of the sample.
        max_bytes: largest size of the decoded pictures.
    """
    folders = [f for f in class_folders(root) if _pictures(f)]
    found: list[tuple[Path, int]] = [(p, k) for k, f in enumerate(folders) for p in _pictures(f)]
    if not found:
        raise ConfigError(
            f"{root.name} holds no folders with pictures and no idx files",
            fix=f"Arrange them as {root.name}/CLASS/picture.png.",
            code="E0136",
        )
    y = np.array([k for _, k in found])
    total, chosen = len(y), np.arange(len(y))
    if limit is not None:
        named: list[Any] = [f"{seed}/{p.parent.name}/{p.name}".encode() for p, _ in found]
        keys = [hashlib.blake2b(n, digest_size=8).digest() for n in named]
        chosen = sample(np.frombuffer(b"".join(keys), np.uint64), y, limit)
    x = _tensor([found[i][0] for i in chosen], max_bytes)
    return Batches(
        x=x,
        y=torch.from_numpy(y[chosen]),
        index=torch.from_numpy(chosen),
        classes=tuple(f.name for f in folders),
        truth=Origin(name=root.name, total=total),
    )
