"""Inputs moved until what a net sees in their views agrees again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Ingredient, Natural, NonNegative, Positive, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model

Map = Callable[[Tensor], Tensor]
_SURE = 0.999  # share of a place of the map that must have stayed inside the picture


@dataclass(frozen=True)
class View:
    """A turned, enlarged or mirrored picture, and the way back on a map of features.

    Args:
        degrees: of the turn, against the clock.
        scale: above 1 the picture is shown larger.
        mirrored: left for right.
    """

    degrees: float = 0.0
    scale: float = 1.0
    mirrored: bool = False

    def of(self, x: Tensor) -> Tensor:
        """The view of pictures `(B, C, H, W)`."""
        turned = self._sampled(x, self.degrees, 1 / self.scale, "border")
        return turned.flip(-1) if self.mirrored else turned

    def back(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """A map of the view, as a map of the picture, and where `(1, 1, h, w)` that is known."""
        z = z.flip(-1) if self.mirrored else z
        there = self._sampled(torch.ones_like(z[:1, :1]), self.degrees, 1 / self.scale, "zeros")
        known = self._sampled(there, -self.degrees, self.scale, "zeros") > _SURE
        return self._sampled(z, -self.degrees, self.scale, "border"), known

    def _sampled(self, x: Tensor, degrees: float, scale: float, border: str) -> Tensor:
        if not degrees and scale == 1:
            return x
        c, s = (scale * f(math.radians(degrees)) for f in (math.cos, math.sin))
        theta = torch.tensor([[c, -s, 0.0], [s, c, 0.0]], device=x.device, dtype=x.dtype)
        grid = F.affine_grid(theta.expand(len(x), 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode=border, align_corners=False)


VIEWS = (View(mirrored=True), View(degrees=10), View(degrees=-10), View(scale=1.2), View(scale=0.8))


def disagreement(features: Map, x: Tensor, views: tuple[View, ...]) -> Tensor:
    """`(B,)`: one less the cosine of the features of picture and view, over places and views.

    Zero for an identical view, and for any view that the features turn along with.

    Args:
        features: pictures `(B, C, H, W)` to maps `(B, c, h, w)`.
        x: pictures.
        views: at least one.
    """
    own, found = features(x), []
    for view in views:
        other, known = view.back(features(view.of(x)))
        apart = (1 - F.cosine_similarity(own, other, dim=1)) * known[:, 0]
        found.append(apart.flatten(1).sum(1) / known.sum().clamp(min=1))
    return torch.stack(found).mean(0)


@dataclass(frozen=True, eq=False)
class Restored:
    """The model, shown inputs that were moved until their views agree.

    Args:
        base: the model that answers.
        how: the settings of the defence.
        views: that must agree.
    """

    base: Model
    how: EquivarianceRestoration
    views: tuple[View, ...] = field(default=VIEWS)

    def dense(self, x: Tensor, flat: bool = False) -> Tensor:
        """The map of features; without one the answers themselves, as a map of one place."""
        seen = x.flatten(1) if flat else x
        if self.how.features is not None:
            found: Tensor = self.how.features(seen)
            return found
        z = logits(self.base(seen))
        return z.reshape(*z.shape, 1, 1)

    def move(self, x: Tensor) -> Tensor:
        """The move of each input that makes its views agree most, as far as descent finds it."""
        pictures = (x if x.dim() == 4 else x[:, None, None]).detach()
        move, radius = torch.zeros_like(pictures), self.how.radius
        seen = partial(self.dense, flat=x.dim() != 4)
        for _ in range(self.how.steps):
            with torch.enable_grad():
                now = (pictures + move).detach().requires_grad_()
                apart = disagreement(seen, now, self.views).sum()
                (slope,) = torch.autograd.grad(apart, now)
            move = (move - radius * self.how.pace * slope.sign()).clamp(-radius, radius)
            low, high = pictures.clamp(max=0), pictures.clamp(min=1)
            move = torch.maximum(torch.minimum(pictures + move, high), low) - pictures
        return move.reshape(x.shape)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits of the base on moved inputs; slopes pass as if the move did not depend on x."""
        if not isinstance(x, Tensor) or x.dim() not in (2, 4) or not x.is_floating_point():
            raise Unsupported(
                "equivariance restoration needs images (B, C, H, W) or rows (B, n), got "
                f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}",
                fix="Give one floating-point tensor of two or four axes.",
            )
        if not len(x) or not self.how.steps or not self.how.radius:
            return logits(self.base(x))
        return logits(self.base(x + self.move(x).detach()))


@register(
    "defence", cites="equivariance-restoration", name="equivariance",
    says="Moves inputs until the features of their views agree, then answers.",
)  # fmt: skip
@settings
class EquivarianceRestoration:
    """Undo part of an attack by restoring what it broke besides the label.

    The features of a natural image turn along when it is mirrored, turned or resized; an attack
    on the label breaks that too. Before answering, the input is moved within a ball so that the
    features of its views, brought back onto the grid of the image, agree with its own: sign steps
    on one less their cosine. No label is needed.

    It is a defence that optimises at test time, so attack it as a whole: slopes pass through it as
    if the move were fixed, which an ascent can use; an attack on the bare model says little.

    Cost: `steps * (views + 1)` forward and backward passes per row, with five views.

    Args:
        radius: of the l-inf ball, one or two times that of the attack.
        steps: of the descent; 0 is the model itself.
        pace: length of a step, in radii.
        features: images to maps `(B, c, h, w)`; the answers of the model unless given, which
            must then not change under a view at all.
    """

    radius: NonNegative = 8 / 255
    steps: Natural = 10
    pace: Positive = 0.25
    features: Ingredient[Map] = ingredient()

    def __call__(self, model: Model) -> Restored:
        """The defended model."""
        return Restored(model, self)
