"""Other data sets that scikit-learn carries, in the shape of ours: foreign without a download."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.ops.carried import carried

COLUMNS = {4: "iris", 13: "wine", 30: "breast-cancer", 64: "digits"}
TABLES = {
    "iris": "iris.csv",
    "wine": "wine_data.csv",
    "breast-cancer": "breast_cancer.csv",
    "digits": "digits.csv.gz",
}
_FINEST = 8  # pixels of a photograph that make one pixel of ours, at most


def bundled(x: Tensor, dice: Dice, known: str = "") -> dict[str, Tensor]:
    """A foreign set by name, of the rows and shape of `x`; none where nothing has that shape.

    Images get random crops of two photographs (a temple, a flower), averaged to their size;
    tables get the rows of a table with as many columns, scaled to [0, 1].

    Args:
        x: `(B, ...)` familiar inputs in [0, 1].
        dice: keyed draws of these rows.
        known: name of the audited data, which is not foreign to itself.
    """
    if x.dim() == 4 and x.shape[1] in (1, 3):
        made = _photographs(x, dice.spawn("photographs"))
        return {} if made is None else {"far: photographs": made}
    name = COLUMNS.get(x.shape[1], "") if x.dim() == 2 else ""
    if not name or name in known:
        return {}
    rows = _table(name)
    pick = dice.spawn("table").integers(len(rows))
    return {f"far: {name}": rows[pick].to(x)}


def _photographs(x: Tensor, dice: Dice) -> Tensor | None:
    """`(B, C, H, W)` crops; None where ours are larger than the photographs."""
    photos = _photos()
    channels, height, width = x.shape[1:]
    fine = min(_FINEST, photos.shape[2] // height, photos.shape[3] // width)
    if fine < 1:
        return None
    tall, wide = fine * height, fine * width
    draw = dice.uniform((3,))
    which = (draw[:, 0] * len(photos)).long()
    top = (draw[:, 1] * (photos.shape[2] - tall + 1)).long()[:, None] + torch.arange(tall)
    left = (draw[:, 2] * (photos.shape[3] - wide + 1)).long()[:, None] + torch.arange(wide)
    crops = photos[which[:, None, None], :, top[:, :, None], left[:, None, :]]
    images = crops.permute(0, 3, 1, 2).to(torch.float32) / 255
    small = torch.nn.functional.avg_pool2d(images, fine)
    return (small.mean(1, keepdim=True) if channels == 1 else small).to(x)


@lru_cache(maxsize=1)
def _photos() -> Tensor:
    """`(2, 3, H, W)` bytes."""
    files = [carried("images", name) for name in ("china.jpg", "flower.jpg")]
    if None in files:
        from sklearn.datasets import load_sample_images

        pictures: Any = load_sample_images().images
    else:
        pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files if file]
    return torch.stack([torch.tensor(p).permute(2, 0, 1) for p in pictures])


@lru_cache(maxsize=4)
def _table(name: str) -> Tensor:
    """`(n, d)` rows of a table, each column in [0, 1]."""
    file = carried("data", TABLES[name])
    if file is None:
        from sklearn import datasets

        raw = getattr(datasets, f"load_{name.replace('-', '_')}")().data
    else:
        head = 0 if name == "digits" else 1
        raw = np.loadtxt(file, delimiter=",", skiprows=head)[:, :-1]
    rows = torch.tensor(raw, dtype=torch.float64)
    low, high = rows.amin(0), rows.amax(0)
    return (rows - low) / (high - low).clamp(min=1e-12)
