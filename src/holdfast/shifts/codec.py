"""JPEG by the codec itself where images are in the host's memory, by its mathematics elsewhere."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from holdfast.ops.jpeg import jpeg, steps

COLOURS = 3
LONGEST = 65_500  # pixels a side that the format can hold


def coded(x: Tensor, quality: float) -> Tensor:
    """Images as they come back from JPEG at a quality.

    On the host the codec of Pillow, so results are those of the released programs; on other
    devices `ops.jpeg`, which does the same in floating point: on average it is less than two of
    255 levels away. Three channels are coded as colour, any other number plane by plane as grey.

    Args:
        x: images `(B, C, H, W)` in [0, 1].
        quality: in (0, 100], 100 is nearly lossless; between whole numbers, step sizes between.

    Returns:
        Images of the same shape on the 256 levels of eight bits.
    """
    if x.device.type != "cpu" or max(x.shape[2:]) > LONGEST:
        return jpeg(x, quality)
    planes = x.shape[1] if x.shape[1] == COLOURS else 1
    images = x.reshape(-1, planes, *x.shape[2:]).numpy()
    kept, room = np.empty_like(images), np.empty_like(images[0])
    for image, out in zip(images, kept, strict=True):
        np.rint(np.multiply(image, 255, out=room), out=room)
        for band, plane in zip(_through(room.astype(np.uint8), quality), out, strict=True):
            np.divide(band, 255, out=plane, dtype=plane.dtype)
    return torch.from_numpy(kept).reshape(x.shape)


def _through(planes: np.ndarray, quality: float) -> list[np.ndarray]:
    """One image of bytes `(1 or 3, H, W)`, coded and decoded."""
    from PIL import Image  # not needed to import the shifts

    size = planes.shape[2], planes.shape[1]
    bands = [Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in planes]
    image = bands[0] if len(bands) == 1 else Image.merge("RGB", bands)
    file = io.BytesIO()
    if quality == int(quality):
        image.save(file, "JPEG", quality=int(quality))
    else:
        tables = [table.flatten().int().tolist() for table in steps(quality)]
        image.save(file, "JPEG", qtables=tables[: len(bands)])
    return [np.asarray(band) for band in Image.open(file, formats=("JPEG",)).split()]
