"""Accuracy along one factor of a scene: how large, where and how turned an object is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch, Batches
from holdfast.core.errors import ConfigError
from holdfast.core.inputs import images, some_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.ops.compose import boxes, filled, object_mask, placed
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion

Factor = Literal["size", "location", "rotation"]
GRID = (0.1, 0.3, 0.5, 0.7, 0.9)
VALUES: dict[Factor, tuple[tuple[float, ...], ...]] = {
    "size": ((0.05,), (0.1,), (0.2,), (0.4,), (0.8,)),
    "location": tuple((i, j) for i in GRID for j in GRID),
    # Away from multiples of 90 degrees, which need no interpolation and so look sharper.
    "rotation": tuple((1.0 + 20 * k,) for k in range(0, 18, 2)),
}
AREA = 0.2
ROUNDING = 0.02  # a mask that is read between its pixels keeps its sum so far


def laid(
    foreground: Tensor,
    mask: Tensor,
    background: Tensor,
    *,
    area: float = AREA,
    centre: tuple[float, float] = (0.5, 0.5),
    degrees: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Objects on backgrounds, at one size, place and angle.

    Args:
        foreground: `(B, C, h, w)`.
        mask: `(B, 1, h, w)` of the objects.
        background: `(B, C, H, W)`.
        area: of the object's box before it is turned, as a share of the background's.
        centre: row and column of the box's middle, as shares of the sides.
        degrees: anticlockwise.

    Returns:
        Images `(B, C, H, W)`, and `(B,)` the share of each object's mask that is inside.
    """
    box = boxes(mask).to(mask.device)
    sides = torch.tensor(background.shape[2:], device=mask.device, dtype=torch.float64)
    scale = (area * sides.prod() / (box[:, 2] * box[:, 3])).sqrt()
    at = (torch.tensor(centre, device=mask.device).double() * sides).expand(len(mask), 2)
    angle = torch.full_like(scale, degrees * pi / 180)
    image, over = placed(foreground, mask, background, scale, angle, at)
    whole = mask.double().sum((1, 2, 3)) * scale.square()
    return image.clamp(0, 1), (over.double().sum((1, 2, 3)) / whole.clamp(min=1e-12)).clamp(max=1)


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy at each value of a factor.

    Args:
        values: of the factor: areas, places (row, column) or degrees.
        right: `(V, B)` bool, answers that are right.
        counted: `(V, B)` bool, rows whose object is visible enough.
        name: prefix of the readings.
        alpha: of the intervals.
    """

    values: tuple[tuple[float, ...], ...]
    right: Tensor
    counted: Tensor
    name: str
    alpha: float

    @property
    def accuracy(self) -> Tensor:
        """`(V,)`: at each value, over the rows that count."""
        return (self.right & self.counted).sum(1).double() / self.counted.sum(1)

    @property
    def relative(self) -> float:
        """Mean over the values, as a share of the best one: 1 for a model that does not care."""
        kept = self.accuracy[self.counted.any(1)]
        return float(kept.mean() / kept.amax().clamp(min=1e-12)) if len(kept) else float("nan")

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy at each value that has rows."""
        sums = zip(
            self.values, (self.right & self.counted).sum(1), self.counted.sum(1), strict=True
        )
        return tuple(
            proportion(f"{self.name}." + ",".join(f"{v:g}" for v in value), int(k), int(n),
                       alpha=self.alpha)
            for value, k, n in sums if int(n)
        )  # fmt: skip


def _settings(factor: Factor, value: tuple[float, ...]) -> dict[str, float | tuple[float, float]]:
    if factor == "location":
        return {"centre": (value[0], value[1])}
    return {"area": value[0]} if factor == "size" else {"degrees": value[0]}


def _scenes(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    x = images(batch.x, "factors")
    given = batch.more.get("mask")
    mask = object_mask(x) if given is None else given.to(x).reshape(len(x), 1, *x.shape[2:])
    ground = batch.more.get("background")
    return x, mask, filled(x, mask) if ground is None else ground.to(x)


def _views(
    scene: tuple[Tensor, Tensor, Tensor], factor: Factor, value: tuple[float, ...], area: float
) -> tuple[Tensor, Tensor]:
    more = {"area": area} | _settings(factor, value)
    return laid(*scene, **more)  # type: ignore[arg-type]


@register("measure", cites="si-score", says="Accuracy by size, place or angle of an object.")
def factor_curve(
    vision: Model,
    batches: Batches,
    *,
    factor: Factor = "size",
    values: tuple[tuple[float, ...], ...] = (),
    area: float = AREA,
    min_visible: float = 0.0,
    alpha: float = 0.05,
    name: str = "factor",
) -> Curve:
    """Pastes each object on its background with one factor varied and the others fixed.

    Args:
        vision: a model of images.
        batches: labelled images `(B, C, H, W)` in [0, 1] with objects; `more["mask"]` says where
            they are, else that is guessed; `more["background"]` holds what they are pasted on,
            of any size, else the image without the object.
        factor: `size` (area of the object's box as a share), `location` or `rotation`.
        values: of the factor: `(area,)`, `(row, column)` as shares of the sides, or `(degrees,)`;
            empty for a few of each.
        area: of the object's box where it is not the factor.
        min_visible: rows with less of their object inside do not count. Above 0 the mix of
            classes changes near the border.
        alpha: each interval covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ConfigError: for a value of the wrong form.
        Unsupported: if the inputs are not images.
        ShapeError: without rows.

    Cost: one forward pass per row and value.
    """
    chosen = values or VALUES[factor]
    if any(len(v) != (2 if factor == "location" else 1) for v in chosen):
        raise ConfigError(
            f"{name}: values of {factor} must be "
            f"{'pairs' if factor == 'location' else 'single numbers'}, got {chosen}",
            fix=f"Give values={((0.5, 0.5),) if factor == 'location' else ((0.5,),)}.",
        )
    found = [(r, c) for batch in batches for r, c in _asked(vision, batch, factor, chosen, area)]
    some_rows(found, name, 1, "batch")
    count = len(chosen)
    right = torch.stack([torch.cat([r for r, _ in found[k::count]]) for k in range(count)])
    seen = torch.stack([torch.cat([c for _, c in found[k::count]]) for k in range(count)])
    some_rows(seen[0], name)
    return Curve(chosen, right, seen >= min_visible - ROUNDING, name, alpha)


def _asked(
    vision: Model, batch: Batch, factor: Factor, values: tuple[tuple[float, ...], ...], area: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Whether each labelled row is right, and how much of its object is seen, at each value."""
    scene, y = _scenes(batch), batch.y.cpu()
    for value in values:
        with quiet(vision), torch.no_grad():
            image, visible = _views(scene, factor, value, area)
            known = correct(outputs(vision, image), y)
        yield known[y != UNLABELLED], visible.cpu()[y != UNLABELLED]
