"""Films of an image that hardly changes: ImageNet-P and CIFAR-10-P. A row is a film.

Their `x` is `(rows, frames, channels, height, width)`; `measure:flip-rate` wants the answers to
all frames. Files of video are decoded by PyAV; frames that were unpacked into a folder per film
need nothing more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import (
    ConfigError,
    HoldfastError,
    MissingExtra,
    ShapeError,
    UntrustedFile,
)  # fmt: skip
from holdfast.readers.arrays import as_inputs
from holdfast.readers.images import folders_in, pictures, read_pictures
from holdfast.readers.origin import Origin
from holdfast.readers.published.arrays import drawn, fits, opened_array
from holdfast.readers.published.folders import class_folders, number, wnids
from holdfast.readers.published.release import Asked, Family, Read, named
from holdfast.readers.split import sample
from holdfast.shifts.sequences import IMAGENET_P

MOST = 256  # frames of one film; the released ones have about 30
VIDEO = ".mp4"
CIFAR = {"snow": "spatter"}  # the small films have another kind in its place


def frames(path: Path, max_bytes: int) -> Tensor:
    """`(frames, 3, height, width)` in [0, 1], of a file of video or a folder of pictures.

    Raises:
        MissingExtra: for a video without the library that decodes it.
        UntrustedFile: for a file that is no video.
    """
    if path.is_dir():
        inside = [(p, 0) for p in pictures(path)[:MOST]]
        if not inside:
            raise ConfigError(f"{path} holds no frames", fix="Unpack the film again.", code="E0136")
        return cast(Tensor, read_pictures(inside, grey=False, max_bytes=max_bytes).x)
    if find_spec("av") is None:
        raise MissingExtra(
            f"{path.name} is a video, and the library that reads it is not installed",
            fix="pip install av; or unpack it: mkdir NAME; ffmpeg -i NAME.mp4 NAME/%03d.png",
            code="E0605",
        )
    av, found = import_module("av"), []
    try:
        with av.open(str(path), format="mp4") as film:
            for frame in film.decode(video=0):
                fits(path.name, MOST, (3, frame.height, frame.width), max_bytes)
                found.append(frame.to_ndarray(format="rgb24"))
                if len(found) == MOST:
                    break
        return as_inputs(np.stack(found))
    except HoldfastError:
        raise
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise UntrustedFile(
            f"{path.parent.name}/{path.name} is no readable video ({type(error).__name__})",
            fix="Fetch it again.", code="E0413",
        ) from None  # fmt: skip


def _films(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.is_dir() or p.suffix.lower() == VIDEO)
    return sorted(found, key=lambda p: p.name)


def read_films(kind: Path, asked: Asked) -> Batches:
    """The films of one kind of change, in folders of classes; all of as many frames."""
    found = [(p, number(f.name)) for f in class_folders(kind) for p in _films(f)]
    if not found:
        raise ConfigError(
            f"{kind} holds no films in folders of classes",
            fix="Unpack the archive again.",
            code="E0136",
        )
    y, chosen = np.array([k for _, k in found]), np.arange(len(found))
    if asked.limit is not None:
        texts = (f"{asked.seed}/{p.parent.name}/{p.stem}".encode() for p, _ in found)
        keys = (hashlib.blake2b(t, digest_size=8).digest() for t in texts)
        chosen = sample(np.frombuffer(b"".join(keys), np.uint64), y, asked.limit)
    films: list[Tensor] = []
    for row in chosen.tolist():
        films.append(frames(found[row][0], asked.max_bytes))
        if films[-1].shape != films[0].shape:
            raise ShapeError(
                f"{found[row][0].name} is a film of shape {tuple(films[-1].shape)}, the first one "
                f"of {kind.name} has {tuple(films[0].shape)}",
                fix="Fetch it again.", code="E0205",
            )  # fmt: skip
        fits(kind.name, len(chosen), tuple(films[0].shape), asked.max_bytes)
    return Batches(
        x=torch.stack(films), y=torch.from_numpy(y[chosen]), index=torch.from_numpy(chosen),
        classes=wnids(), truth=Origin(name=kind.name, form="tensor", total=len(found)),
    )  # fmt: skip


def _kinds(root: Path) -> Mapping[str, Read]:
    """Folders of kinds, in the root or in the folders in which the archives unpack."""
    if not root.is_dir():
        return {}
    inside = [f for group in folders_in(root) for f in (group, *folders_in(group))]
    return {named(f.name): partial(read_films, f) for f in inside if _has_classes(f)}


def _has_classes(folder: Path) -> bool:
    return any(f.name[:1] == "n" and f.name[1:].isdecimal() for f in folders_in(folder))


def _read_array(path: Path, asked: Asked) -> Batches:
    """An array of films `(rows, frames, height, width, 3)` in bytes; they carry no labels."""
    x = opened_array(path)
    if x.ndim != 5 or x.dtype != np.uint8 or x.shape[-1] != 3:
        raise ShapeError(
            f"{path.name} has shape {x.shape} and type {x.dtype}, not films of bytes",
            fix="Fetch it again.", code="E0203",
        )  # fmt: skip
    rows = drawn(np.zeros(len(x), np.int64), asked)
    fits(path.name, len(rows), x.shape[1:], asked.max_bytes)
    taken = torch.from_numpy(np.array(x[rows])).permute(0, 1, 4, 2, 3).float() / 255
    return Batches(
        x=taken, y=torch.full((len(rows),), UNLABELLED), index=torch.from_numpy(rows),
        truth=Origin(name=path.stem, form="tensor", total=len(x)),
    )  # fmt: skip


def _arrays(root: Path) -> Mapping[str, Read]:
    return {named(p.stem): partial(_read_array, p) for p in sorted(root.glob("*.npy"))}


FAMILIES = {
    "imagenet-p": Family(
        says="films of ImageNet under ten changes", link="https://zenodo.org/record/3565846",
        layout="FOLDER/gaussian_noise/n01440764/*.mp4 (or a folder of frames for each film)",
        parts=_kinds, usual=lambda _: IMAGENET_P, films=True,
    ),
    "cifar-10-p": Family(
        says="films of CIFAR-10 under ten changes, without labels",
        link="https://github.com/hendrycks/robustness", layout="FOLDER/gaussian_noise.npy",
        parts=_arrays, usual=lambda _: [CIFAR.get(k, k) for k in IMAGENET_P], films=True,
    ),
}  # fmt: skip
