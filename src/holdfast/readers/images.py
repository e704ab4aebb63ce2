"""Folders of images: `root/class/picture.png`, classes in sorted order."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

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
LONGEST = 16  # times the shorter side
GREY = ("1", "L", "I;16", "I;16B", "I;16L", "I")


def folders_in(root: Path) -> list[Path]:
    """The folders inside, sorted by name; hidden ones are passed over."""
    found = (p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(found, key=lambda p: p.name)


def pictures(folder: Path) -> list[Path]:
    """The pictures inside, at any depth, sorted by name; only names are looked at."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def class_folders(root: Path) -> list[Path]:
    """The folders of the classes: those of `root/test` where the root holds splits."""
    inside = folders_in(root)
    names = [p.name for p in inside]
    if inside and set(names) <= set(SPLITS):
        chosen = next(s for s in SPLITS if s in names)
        inside = folders_in(root / chosen)
    return inside


def picture_array(path: Path | IO[bytes], grey: bool, side: int | None) -> np.ndarray:
    """A picture as `(C, H, W)` in [0, 1], with one channel or three."""
    from PIL import Image

    with Image.open(path, formats=FORMATS) as picture:
        if side is not None:
            plain = picture.convert("L" if grey else "RGB")
            return _as_array(_middle(plain, side), grey)
        if picture.mode.startswith("I"):
            return np.asarray(picture, np.float32)[None] / np.float32(65535)
        return _as_array(picture.convert("L" if grey else "RGB"), grey)


def _as_array(picture: Any, grey: bool) -> np.ndarray:
    flat = np.asarray(picture, np.float32) / np.float32(255)
    return flat[None] if grey else np.moveaxis(flat, 2, 0)


def _middle(picture: Any, side: int) -> Any:
    """The middle of a picture whose shorter side is 8 / 7 of `side` (256 for 224)."""
    from PIL import Image

    width, height = picture.size
    most = LONGEST * min(width, height)
    if max(width, height) > most:  # a line of pixels would grow to more than memory holds
        left, top = max(width - most, 0) // 2, max(height - most, 0) // 2
        picture = picture.crop((left, top, left + min(width, most), top + min(height, most)))
        width, height = picture.size
    short = round(side * 8 / 7)
    long = short * max(width, height) // min(width, height)
    size = (short, long) if width <= height else (long, short)
    fitted = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return fitted.crop((left, top, left + side, top + side))


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


def _tensor(
    paths: list[Path], max_bytes: int, known: bool | None, side: int | None
) -> torch.Tensor:
    if side is not None and known is not None:
        grey, (width, height) = known, (side, side)
    else:
        grey, (width, height) = _headers(paths)
        grey = grey if known is None else known
    shape = (len(paths), 1 if grey else 3, height, width)
    if 4 * int(np.prod(shape, dtype=object)) > max_bytes:
        raise ConfigError(
            f"{len(paths)} pictures of {width}x{height} need more than {max_bytes:,} bytes",
            fix="Draw a sample with --limit 1000, or raise --max-bytes.",
            code="E0135",
        )
    from PIL import Image

    x = np.empty(shape, np.float32)
    for row, path in enumerate(paths):
        try:
            x[row] = picture_array(path, grey, side)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
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
    every = [(f, pictures(f)) for f in class_folders(root)]
    folders = [(f, inside) for f, inside in every if inside]
    if not folders:
        raise ConfigError(
            f"{root.name} holds no folders with pictures and no idx files",
            fix=f"Arrange them as {root.name}/CLASS/picture.png.",
            code="E0136",
        )
    found = [(p, k) for k, (_, inside) in enumerate(folders) for p in inside]
    rows = read_pictures(found, limit=limit, seed=seed, max_bytes=max_bytes)
    classes, truth = tuple(f.name for f, _ in folders), Origin(name=root.name, total=len(found))
    return replace(rows, classes=classes, truth=truth)


def read_pictures(
    found: list[tuple[Path, int]],
    *,
    limit: int | None = None,
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
    grey: bool | None = None,
    side: int | None = None,
) -> Batches:
    """Pictures with their labels, in [0, 1]; of a sample nothing else is decoded.

    Args:
        found: files and labels.
        limit: draw a stratified sample by a hash of the last two parts of the names.
        seed: of the sample.
        max_bytes: largest size of the decoded pictures.
        grey: whether there is one channel or three; None for one if all pictures are grey.
        side: bring pictures of any size to this one, as ImageNet is usually measured: the shorter
            side to 8 / 7 of it, then the middle. None if they have one size already.
    """
    y = np.array([k for _, k in found])
    chosen = np.arange(len(y))
    if limit is not None:
        named: list[Any] = [f"{seed}/{p.parent.name}/{p.name}".encode() for p, _ in found]
        keys = [hashlib.blake2b(n, digest_size=8).digest() for n in named]
        chosen = sample(np.frombuffer(b"".join(keys), np.uint64), y, limit)
    x = _tensor([found[i][0] for i in chosen], max_bytes, grey, side)
    return Batches(
        x=x,
        y=torch.from_numpy(y[chosen]),
        index=torch.from_numpy(chosen),
        truth=Origin(name="pictures", total=len(y)),
    )
