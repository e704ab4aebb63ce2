"""Rows mixed with other rows at a drawn depth of the net, and their labels alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row
from holdfast.ops.simplex import beta

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


@register(
    "objective", cites="manifold-mixup", name="manifold-mixup",
    says="Mixes what a drawn layer hands on between rows, and their labels alike.",
)  # fmt: skip
@settings
class ManifoldMixup(Objective):
    """Manifold mixup: at a layer drawn for each batch, every row is mixed with another one.

    What the layer hands on becomes `s h + (1 - s) h'`, s from Beta(alpha, alpha) for the whole
    batch, and the loss is that of both labels in these shares. Features then lie flatter and
    apart, and wrong labels are harder to learn by heart. Where only the input may be drawn
    it is `hook:mixup`; on a linear net every layer gives the same. Without alpha nothing is mixed.

    Cost: one forward pass.

    Args:
        alpha: of the Beta distribution: 1 is uniform, 0 mixes nothing.
        layers: names of submodules that may be drawn, the input being "". Unless named: the
            input and every linear or convolutional layer but the last.
        loss: between outputs and labels.

    Raises:
        Unsupported: for a name that the model does not have, or labels per position.
    """

    coupled: ClassVar[bool] = True

    alpha: NonNegative = 2.0
    layers: tuple[str, ...] = ()
    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, y, loss = tensor_of(batch), batch.y, resolve(self.loss)
        if y.dim() != (2 if y.is_floating_point() else 1):
            raise Unsupported(
                f"ManifoldMixup mixes one label per row, got {tuple(batch.y.shape)}",
                fix="Give labels (B,), or shares of classes (B, K).",
            )
        if not self.alpha or not len(x):
            return per_row(loss(logits(run.model(x)), y), y)
        dice = run.dice.spawn("manifold")
        draw = dice.one().uniform(dtype=torch.float64, device=x.device)
        share = float(beta(draw, self.alpha))
        partner = torch.randperm(len(x), generator=dice.generator("partner")).to(x.device)

        def mixed(h: Tensor) -> Tensor:
            return share * h + (1 - share) * h[partner]

        z = self._through(run.model, x, self._drawn(run.model, dice.generator("layer")), mixed)
        return share * loss(z, y) + (1 - share) * loss(z, y[partner])

    def _drawn(self, model: nn.Module, generator: torch.Generator) -> str:
        found = [n for n, m in model.named_modules() if n and isinstance(m, _WEIGHTED)]
        names = self.layers or ("", *found[:-1])
        return names[int(torch.randint(len(names), (), generator=generator))]

    @staticmethod
    def _through(
        model: nn.Module, x: Tensor, name: str, mixed: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Outputs where what one layer hands on is mixed."""
        if not name:
            return logits(model(mixed(x)))
        try:
            layer = model.get_submodule(name)
        except AttributeError:
            raise Unsupported(
                f"ManifoldMixup: the model has no layer {name!r}",
                fix="Name submodules as model.named_modules() does.",
            ) from None
        left = [mixed]  # a layer that is used twice is mixed where it is used first

        def once(_: nn.Module, __: object, out: Tensor) -> Tensor:
            return left.pop()(out) if left else out

        handle = layer.register_forward_hook(once)
        try:
            return logits(model(x))
        finally:
            handle.remove()
