"""True boxes from annotation files in the format of COCO."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from holdfast.core.errors import ConfigError
from holdfast.measures.outputs.boxes import Boxes

DOMAINS = ("sketch", "cartoon", "painting", "weather", "handmake", "tattoo")
PUBLISHED = "https://github.com/alibaba/easyrobust/tree/main/benchmarks/coco_o"


@dataclass(frozen=True, eq=False)
class Annotated:
    """True boxes of a folder of images.

    Args:
        truth: the boxes; images and classes are numbered from 0 in the order of their ids.
        files: file of each image.
        images: id of each image in the file.
        classes: name of each class; ids may have gaps, these numbers do not.
        ids: id of each class in the file.
    """

    truth: Boxes
    files: tuple[Path, ...]
    images: tuple[int, ...]
    classes: tuple[str, ...]
    ids: tuple[int, ...]


def read_coco(annotations: Path, images: Path) -> Annotated:
    """Boxes of one annotation file.

    Args:
        annotations: JSON with `images`, `annotations` and `categories`.
        images: folder of the files that it names; they are not opened.

    Raises:
        ConfigError: if the file is missing, or is no such JSON.
    """
    if not annotations.is_file():
        raise ConfigError(
            f"there is no annotation file {annotations}",
            fix=f"COCO-O is published at {PUBLISHED}; unpack it so that the file lies there.",
        )
    try:
        raw = json.loads(annotations.read_text("utf-8"))
        pictures = sorted(raw["images"], key=lambda v: v["id"])
        kinds = sorted(raw["categories"], key=lambda v: v["id"])
        rows = raw["annotations"]
        image_of = {v["id"]: k for k, v in enumerate(pictures)}
        class_of = {v["id"]: k for k, v in enumerate(kinds)}
        image = torch.tensor([image_of[v["image_id"]] for v in rows], dtype=torch.int64)
        label = torch.tensor([class_of[v["category_id"]] for v in rows], dtype=torch.int64)
        box = torch.tensor([v["bbox"] for v in rows], dtype=torch.float64).reshape(-1, 4)
        crowd = torch.tensor([bool(v.get("iscrowd", 0)) for v in rows], dtype=torch.bool)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{annotations.name} is not an annotation file of COCO: {error!r:.80}",
            fix="It needs images, annotations (image_id, category_id, bbox) and categories.",
        ) from None
    box[:, 2:] += box[:, :2]  # from width and height to the far corner
    return Annotated(
        truth=Boxes(image, label, box, crowd=crowd),
        files=tuple(images / Path(str(v["file_name"])).name for v in pictures),
        images=tuple(int(v["id"]) for v in pictures),
        classes=tuple(str(v["name"]) for v in kinds),
        ids=tuple(int(v["id"]) for v in kinds),
    )


def read_coco_o(root: Path) -> dict[str, Annotated]:
    """The six domains of COCO-O: `DOMAIN/annotations/instances_val2017.json`, `DOMAIN/val2017/`.

    Raises:
        ConfigError: if a domain is missing.
    """
    return {
        name: read_coco(
            root / name / "annotations" / "instances_val2017.json", root / name / "val2017"
        )
        for name in DOMAINS
    }
