"""Rows as pictures: small PNGs inside data: addresses, or plain text for tables."""

from __future__ import annotations

import base64
import io

from torch import Tensor

MEASURES = (1, 3)


def is_image(x: Tensor) -> bool:
    """Whether rows are images: (B, C, H, W) with one or three channels."""
    return x.dim() == 4 and x.shape[1] in MEASURES


def png(image: Tensor, scale: int = 96) -> str:
    """A data: address of a `(C, H, W)` image in [0, 1], enlarged without smoothing."""
    from PIL import Image

    pixels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
    array = pixels.squeeze(0).numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    factor = max(1, scale // max(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), 0)
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()


def difference(before: Tensor, after: Tensor, gain: float = 10.0) -> str:
    """A data: address of the change, magnified `gain` times around middle grey."""
    return png((0.5 + gain * (after - before)).clamp(0, 1))
