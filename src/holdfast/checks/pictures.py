"""Rows as pictures: small PNGs inside data: addresses, or plain text for tables."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

MEASURES = (1, 3)
GRAY = 0.5
MORE, LESS, SAME = (0.78, 0.24, 0.02), (0.05, 0.42, 0.62), (0.95, 0.95, 0.94)
MOST = 100  # times that a change is magnified at most


def is_image(x: Tensor) -> bool:
    """Whether rows are images: (B, C, H, W) with one or three channels."""
    return x.dim() == 4 and x.shape[1] in MEASURES


def png(image: Tensor, scale: int = 96, low: float = 0.0, high: float = 1.0) -> str:
    """A data: address of a `(C, H, W)` image, enlarged without smoothing.

    Args:
        image: in [low, high].
        scale: the longer side in pixels, unless the image is larger.
        low: shown as black.
        high: shown as white.
    """
    from PIL import Image

    values = (image.detach().cpu().float() - low) / ((high - low) or 1.0)
    pixels = (values.clamp(0, 1) * 255).round().byte()
    array = pixels.squeeze(0).numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    factor = max(1, scale // max(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), 0)
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()


def difference(
    before: Tensor, after: Tensor, low: float = 0.0, high: float = 1.0
) -> tuple[str, int]:
    """A data: address of the change, and how many times it is magnified.

    So many times that the largest change just fills the picture's range. In one channel what was
    added is red and what was taken away blue; with colours, around middle grey.

    Args:
        before: `(C, H, W)`.
        after: the same, changed.
        low: least valid value.
        high: largest valid value.
    """
    change = (after - before).detach().cpu().double() / ((high - low) or 1.0)
    largest = float(change.abs().amax()) if change.numel() else 0.0
    gain = max(1, min(MOST, int(1.0001 / largest))) if largest else 1
    shown = (gain * change).clamp(-1, 1)
    if len(shown) != 1:
        return png(GRAY + GRAY * shown), gain
    more, less, same = (torch.tensor(c).to(shown).view(3, 1, 1) for c in (MORE, LESS, SAME))
    up, down = shown.clamp(min=0), -shown.clamp(max=0)
    return png(same + up * (more - same) + down * (less - same)), gain
