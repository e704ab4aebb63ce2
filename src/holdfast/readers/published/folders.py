"""Benchmarks in the classes of ImageNet: one folder of pictures per class.

Where only some of the thousand classes occur, labels count these in the order of their ids, and
the outputs of all others are ruled out when the rows join a model (`Origin.known`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ConfigError
from holdfast.readers.images import folders_in, pictures, read_pictures
from holdfast.readers.origin import Origin
from holdfast.readers.published.release import Asked, Family, Read, named
from holdfast.shifts.published import IMAGENET_C

SIDE = 224
LEVELS = ("1", "2", "3", "4", "5")
CLASS = re.compile(r"n\d{8}|\d{1,3}")  # an id, or in ImageNet-V2 the number of a class
Numbering = Literal["all", "some", "own", "none"]


@cache
def wnids() -> tuple[str, ...]:
    """The ids of the thousand classes of ImageNet in the order in which models number them."""
    return tuple((Path(__file__).parent / "wnids.txt").read_text("ascii").split())


def class_folders(root: Path) -> list[Path]:
    """The folders of the classes: in the root, or in its only folder, as archives unpack."""
    for _ in range(3):
        inside = folders_in(root)
        own = [f for f in inside if CLASS.fullmatch(f.name)]
        if own or len(inside) != 1:
            return own
        root = inside[0]
    return []


def number(name: str) -> int:
    """The number of a class among the thousand: of an id, or a number itself.

    Raises:
        ConfigError: for an id that is not one of the thousand.
    """
    if name.isdecimal():
        return int(name)  # sorted as texts 10 would come before 2
    if name not in wnids():
        raise ConfigError(
            f"folder {name} is none of the 1,000 classes of ImageNet",
            fix="Check what was unpacked there; for Tiny ImageNet-C write tiny-imagenet-c:FOLDER.",
            code="E0136",
        )
    return wnids().index(name)


def read_classes(root: Path, numbering: Numbering, side: int | None, asked: Asked) -> Batches:
    """Pictures in folders of classes.

    Args:
        root: of the folders.
        numbering: `all`: labels number the thousand classes; `some`: those that occur, and others
            are ruled out; `own`: those that occur, of a model of its own; `none`: no labels, for
            what belongs to no class.
        side: bring pictures to this size; None if they have it.
        asked: how much.
    """
    folders = class_folders(root)
    numbers = [] if numbering == "own" else [number(f.name) for f in folders]
    labels = numbers if numbering == "all" else range(len(folders))
    found = [(p, k) for k, f in zip(labels, folders, strict=True) for p in pictures(f)]
    if not found:
        raise ConfigError(
            f"{root} holds no pictures in folders of classes",
            fix="Unpack the archive again.",
            code="E0136",
        )
    rows = read_pictures(
        found, limit=asked.limit, seed=asked.seed, max_bytes=asked.max_bytes, grey=False, side=side
    )
    return replace(
        rows,
        y=torch.full_like(rows.y, UNLABELLED) if numbering == "none" else rows.y,
        classes=wnids() if numbering == "all" else tuple(f.name for f in folders),
        truth=Origin(
            name=root.name, total=len(found),
            known=wnids() if numbering in ("some", "none") else (),
        ),
    )  # fmt: skip


def _whole(root: Path, numbering: Numbering) -> Mapping[str, Read]:
    """One part: the folder itself."""
    if not root.is_dir() or not class_folders(root):
        return {}
    return {"all": partial(read_classes, root, numbering, SIDE)}


def _corrupted(root: Path, numbering: Numbering) -> Mapping[str, Read]:
    """`KIND/LEVEL`; kinds lie in the root, or in the folders in which the archives unpack."""
    found: dict[str, Read] = {}
    for kind in _kinds(root) if root.is_dir() else ():
        for level in LEVELS:
            if (kind / level).is_dir():
                read = partial(read_classes, kind / level, numbering, None)
                found[f"{named(kind.name)}/{level}"] = read
    return dict(sorted(found.items()))


def _kinds(root: Path) -> list[Path]:
    found = []
    for folder in folders_in(root):
        inside = [folder, *folders_in(folder)]
        found += [f for f in inside if any((f / level).is_dir() for level in LEVELS)]
    return found


def _renditions(says: str, link: str, numbering: Numbering = "some", layout: str = "") -> Family:
    return Family(
        says=says, link=link, layout=layout or "FOLDER/n01443537/*.jpg",
        parts=partial(_whole, numbering=numbering),
    )  # fmt: skip


def _corruptions(says: str, link: str, numbering: Numbering) -> Family:
    return Family(
        says=says, link=link, layout="FOLDER/gaussian_noise/1/n01440764/*.JPEG",
        parts=partial(_corrupted, numbering=numbering), usual=lambda _: IMAGENET_C, kinds=True,
    )  # fmt: skip


_EXAMPLES = "https://github.com/hendrycks/natural-adv-examples"
FAMILIES = {
    "imagenet-c": _corruptions(
        "ImageNet under 15 corruptions at five levels", "https://zenodo.org/record/2235448", "all"
    ),
    "tiny-imagenet-c": _corruptions(
        "Tiny ImageNet under 15 corruptions", "https://zenodo.org/record/2536630", "own"
    ),
    "imagenet-r": _renditions(
        "renditions of 200 classes", "https://github.com/hendrycks/imagenet-r"
    ),
    "imagenet-a": _renditions("200 classes, pictures that models get wrong", _EXAMPLES),
    "imagenet-o": _renditions("pictures of none of the classes, without labels", _EXAMPLES, "none"),
    "imagenet-sketch": _renditions(
        "sketches of all classes", "https://github.com/HaohanWang/ImageNet-Sketch", "all"
    ),
    "imagenet-v2": _renditions(
        "a second test set of all classes", "https://github.com/modestyachts/ImageNetV2", "all",
        "FOLDER/0/*.jpeg",
    ),
}  # fmt: skip
