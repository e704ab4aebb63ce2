"""Training on what a generator can make of each row without changing what it is."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, NonNegative, Part, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.objectives.supervised import per_row
from holdfast.ops.batch import pick
from holdfast.ops.latent import Generator, PrincipalGenerator


@register("objective", cites="natra", name="natra", says="The loss on natural variations too.")
@settings
class NaturalTransformations(Objective):
    """The loss on each row, and on what a generator makes of it along one of its directions.

    A row is encoded, its code is moved along a direction that changes inputs but not their class,
    and decoded again; its label is kept. In `random` mode direction and length are drawn; in
    `worst` mode the one with the largest present loss among a grid is taken: an adversary that
    can only do what comes naturally. At weight 0 this is training on labels.

    Cost per batch: two forward passes; in worst mode `grid` more for each direction.

    Unlike the paper: any generator serves, a linear one included; its code is that of its own
    encoder (`ops.latent.invert` refines codes of generators that have none), and there is no
    expansion into several codes whose feature maps are mixed, which only style-based generators
    allow.

    Args:
        generator: with `decode` and `encode`.
        directions: `(m, d)` of the codes, from `ops.latent.directions`; the axes of the codes
            unless given.
        mode: how direction and length are chosen.
        magnitude: largest length of a move, in units of the codes.
        grid: lengths per direction in worst mode, both ways.
        weight: of the loss on what was generated.
        loss: between outputs and labels.
    """

    generator: Ingredient[Generator] = ingredient()
    directions: Ingredient[Tensor] = ingredient()
    mode: Literal["random", "worst"] = "worst"
    magnitude: NonNegative = 2.0
    grid: Count = 2
    weight: NonNegative = 0.5
    loss: Part[Loss] = "loss:cross-entropy"

    @classmethod
    def example(cls, world: Any) -> NaturalTransformations:
        """With a linear generator of four inputs, for the laws."""
        g = torch.Generator().manual_seed(0)
        x = torch.rand(32, 4, generator=g, dtype=torch.float64)
        return cls(generator=PrincipalGenerator.fit(x, 3))

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, loss = batch.x, resolve(self.loss)
        if self.generator is None or not isinstance(x, Tensor):
            raise Unsupported(
                "NaturalTransformations needs a generator and inputs as one tensor",
                fix="Pass generator=PrincipalGenerator.fit(x, rank).",
            )
        plain = per_row(loss(logits(run.model(x)), batch.y), batch.y)
        if not self.weight:
            return plain
        natural = self.varied(run.model, x, batch.y, run.dice.spawn("natra"))
        return plain + self.weight * per_row(loss(logits(run.model(natural)), batch.y), batch.y)

    def varied(self, model: Model, x: Tensor, y: Tensor, dice: Dice) -> Tensor:
        """What the generator makes of each row; a move of length 0 is its reconstruction."""
        maker: Any = self.generator
        with torch.no_grad():
            codes = maker.encode(x)
            ways = torch.eye(codes.shape[1]) if self.directions is None else self.directions
            ways = ways.to(codes)
            if self.mode == "worst":
                return self._worst(model, codes, ways, y)
            which = dice.integers(len(ways), device=x.device)
            length = self.magnitude * (2 * dice.uniform(device=x.device, dtype=codes.dtype) - 1)
            made: Tensor = maker.decode(codes + length[:, None] * ways[which]).clamp(0, 1)
            return made.detach()

    def _worst(self, model: Model, codes: Tensor, ways: Tensor, y: Tensor) -> Tensor:
        """The variation with the largest loss, as the model in evaluation mode sees it."""
        maker: Any = self.generator
        loss = resolve(self.loss)
        best: Tensor = maker.decode(codes).clamp(0, 1)
        with quiet(model):
            if hasattr(model, "eval"):
                model.eval()
            most = per_row(loss(logits(model(best)), y), y)
            for way in ways:
                for step in range(1, self.grid + 1):
                    for side in (-1, 1):
                        length = side * step * self.magnitude / self.grid
                        made = maker.decode(codes + length * way).clamp(0, 1)
                        losses = per_row(loss(logits(model(made)), y), y)
                        best = pick(losses > most, made, best)
                        most = torch.maximum(most, losses)
        return best
