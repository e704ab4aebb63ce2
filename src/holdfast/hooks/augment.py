"""Shifts and distorted nets as augmentations: part of each batch is changed, labels stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Ingredient, Part, Share, ingredient, settings
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Hook, Run, Shift
from holdfast.core.quiet import quiet

Distort = Literal["any", "none"]
# What a pass may do to the weights of a layer, and how they are drawn.
WEIGHTS = ("flip", "negate", "drop", "bend", "scale", "mask", "signs", "turn")


def chosen_rows(count: int, amount: float) -> Tensor:
    """The last rows of a batch, as many as make up a share of it."""
    return torch.arange(count - round(amount * count), count)


@register(
    "hook", cites=("imagenet-r-deepaugment", "noise2net"),
    says="Changes a share of each batch by a shift.",
)  # fmt: skip
@settings
class Augment(Hook):
    """In every batch an exact share of the rows is changed by a shift, at a drawn severity.

    Any shift of the catalogue can serve; by default it is Noise2Net at its published strength.
    Rows are the last of each batch, whose order is drawn anew every epoch. One severity is drawn
    per batch; inputs that the shift cannot change are an error, not left as they are.

    Args:
        shift: what changes the rows.
        amount: share of each batch, rounded to whole rows.
        low: least severity.
        high: largest severity.
    """

    neutral: ClassVar[dict[str, Any]] = {"amount": 0.0}

    shift: Part[Shift] = "shift:noise2net"
    amount: Share = 0.5
    low: Share = 0.5
    high: Share = 1.0

    @classmethod
    def example(cls, world: Any) -> Augment:
        """Without effect: the rows of the laws are no images."""
        return cls(amount=0.0)

    def batch(self, run: Run, batch: Batch) -> Batch:
        rows = chosen_rows(len(batch.index), self.amount)
        if not len(rows):
            return batch
        x = one_tensor(batch.x, type(self).__name__)
        dice = run.dice.spawn("augment")
        drawn = float(torch.rand((), generator=dice.generator("severity")))
        severity = self.low + (self.high - self.low) * drawn
        part = resolve(self.shift)(batch.take(rows), severity, dice.part(rows))
        x = x.clone()
        x[rows] = part.x  # type: ignore[assignment]
        return batch._replace(x=x)


def distorted(w: Tensor, how: str, g: torch.Generator) -> Tensor:
    """Weights of one layer, changed at random; biases stay.

    Args:
        w: weights, output units first.
        how: one of `WEIGHTS`.
        g: draws.
    """
    # A quarter of the units, but one at least: small nets would often stay as they are.
    units = torch.rand(len(w), generator=g).argsort().argsort() < max(1, round(len(w) / 4))
    units = units.to(w.device)
    each = units.view(-1, *(1,) * (w.dim() - 1))
    uniform = torch.rand(w.shape, generator=g).to(w)
    steep, quarter = torch.rand((), generator=g).to(w), int(torch.randint(3, (), generator=g)) + 1
    changes: dict[str, Callable[[], Tensor]] = {
        "flip": lambda: w.flip(0 if len(w) > 1 else 1),
        "negate": lambda: torch.where(each, -w, w),
        "drop": lambda: torch.where(each, torch.zeros_like(w), w),
        "bend": lambda: torch.where(each, -F.gelu(w), w),
        "scale": lambda: w * (1 + 2 * steep * (4 * uniform - 1)),
        "mask": lambda: w * (uniform < 0.5),
        "signs": lambda: torch.where(uniform < 0.5, -w, w),
        "turn": lambda: w.rot90(quarter, (-2, -1)) if w.dim() == 4 else w.flip(-1),
    }
    return changes[how]()


@register("hook", cites="imagenet-r-deepaugment", says="Changes rows by a net that is distorted.")
@settings
class DeepAugment(Hook):
    """In every batch a share of the rows goes through an image-to-image net with spoilt weights.

    Each batch draws one layer or two of the net and one way to spoil each. What comes out is
    still the image, in a rendition nobody designed: a model that keeps its answer on it relies less
    on texture. Values are cut to [0, 1], other sizes are brought back.

    Cost: one forward pass of the net on the share.

    Args:
        net: image-to-image, such as an autoencoder; it stays as it is.
        amount: share of each batch, rounded to whole rows.
        distort: `none` gives what the net makes of the rows without harm.

    Unlike the paper, the distortions act on weights alone, not on activations, and biases stay.
    """

    neutral: ClassVar[dict[str, Any]] = {"amount": 0.0}

    net: Ingredient[nn.Module] = ingredient()
    amount: Share = 0.5
    distort: Distort = "any"

    @classmethod
    def example(cls, world: Any) -> DeepAugment:
        """With a linear net of four numbers, for the laws."""
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return cls(net=nn.Linear(4, 4).double())

    def batch(self, run: Run, batch: Batch) -> Batch:
        if self.net is None:
            raise ConfigError("DeepAugment needs a net", fix="Pass net=autoencoder.")
        rows = chosen_rows(len(batch.index), self.amount)
        if not len(rows):
            return batch
        x = one_tensor(batch.x, type(self).__name__)
        given = x[rows]
        with quiet(self.net), torch.no_grad():
            made = functional_call(self.net, self._weights(run), (given,))
        if made.shape != given.shape and made.dim() == given.dim() == 4:
            made = F.interpolate(made, size=given.shape[2:], mode="bilinear")
        if made.shape != given.shape:
            raise ShapeError(
                f"DeepAugment: {tuple(made.shape)} for inputs {tuple(given.shape)}",
                fix="Give a net that returns images like its inputs.",
            )
        x = x.clone()
        x[rows] = made.clamp(0, 1).to(x)
        return batch._replace(x=x)

    def _weights(self, run: Run) -> dict[str, Tensor]:
        """All weights of the net, of which one or two layers are spoilt."""
        weights = {n: p.detach() for n, p in self.net.named_parameters()}  # type: ignore[union-attr]
        names = [n for n, p in weights.items() if p.dim() > 1]
        if self.distort == "none" or not names:
            return weights
        g = run.dice.spawn("distort").generator("layers")
        for _ in range(1 + int(torch.randint(2, (), generator=g))):
            name = names[int(torch.randint(len(names), (), generator=g))]
            how = WEIGHTS[int(torch.randint(len(WEIGHTS), (), generator=g))]
            weights[name] = distorted(weights[name], how, g)
        return weights
