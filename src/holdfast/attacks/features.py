"""Short changes that win through the channels of a layer that bear no noise."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.core.catalog import register
from holdfast.core.fields import Count, NonNegative, Positive, settings
from holdfast.core.kinds import Access
from holdfast.core.quiet import quiet
from holdfast.measures.model.channels import channels, variances
from holdfast.measures.model.site import Site, once
from holdfast.ops.batch import fit

_EDGE = 1 - 1e-6


@register("attack", cites="ib-feature-distillation")
@settings
class NonRobustFeatures(MinimumNorm):
    """Short Euclidean changes, pushed along the features that bear no noise.

    Adam descends the squared length plus a fixed price on every logit short of winning, like
    CW, and on top of it moves the features of a layer along the margin's gradient, on those
    channels alone that bear less noise than features vary (`measure:feature-split`). The mask
    belongs to the clean input and the answer it gets, row by row.

    Args:
        layer: name of a module; the last feature map unless given, or what enters the last
            linear layer where there is none.
        steps: of the descent, and of learning the noise before it.
        rate: step length of Adam, in the free variables.
        price: of a logit, in squared widths of the box.
        follow: `rest` moves along the channels that bear no noise, `robust` along the others;
            `against-rest` and `against-robust` the other way.
        weight: of the information in that.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: `steps` forward and backward passes per row to begin with, then per open row at
    most `steps` forwards and two backwards each; a row whose objective rises from one third of
    the steps to the next rests.

    Raises:
        Unsupported: unless changes are measured in the Euclidean norm, and for models without
            modules.

    Unlike the paper: channels are compared within their own row, so that no row depends on its
    batch; units without places are compared with the variance over the units of their row.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (2.0,)
    layer: str = ""
    steps: Count = 200
    rate: Positive = 0.1
    price: Positive = 0.1
    follow: Literal["rest", "against-rest", "robust", "against-robust"] = "rest"
    weight: NonNegative = 0.3
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows = known.open
        with quiet(rows.model):
            site = Site(rows.model, self.layer, rows.x)
            self._descend(known, rows, site, self._mask(site, rows))

    def _mask(self, site: Site, rows: Rows) -> Tensor:
        """`(A, C)`: channels to move along."""
        with torch.no_grad():
            z, out = site.both(rows.x)
        places = z.dim() > 2 and z[0, 0].numel() > 1
        own = variances(z) if places else z.flatten(1).var(1, keepdim=True).expand(len(z), -1)
        found = channels(
            site, rows.x, out.argmax(1), steps=self.steps, weight=self.weight,
            threshold="sample", variance=own, dice=rows.dice,
        )  # fmt: skip
        return found.robust if self.follow.endswith("robust") else ~found.robust

    def _descend(self, known: Smallest, rows: Rows, site: Site, mask: Tensor) -> None:
        """Adam from the input, on the rows that are still open."""
        share = (rows.x - rows.threat.low) / rows.width
        free = torch.atanh((2 * share.clamp(0, 1) - 1) * _EDGE)
        mean, square = torch.zeros_like(free), torch.zeros_like(free)
        last = torch.full((len(free),), torch.inf, device=free.device, dtype=free.dtype)
        pause = max(self.steps // 3, 1)
        for step in range(self.steps):
            margin, cost, gradient, change = self._looked(rows, site, mask, free)
            stay = known.see(rows, change, margin)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient.square()
            root = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            free = free - self.rate * mean / (1 - 0.9 ** (step + 1)) / root
            if (step + 1) % pause == 0:
                going, last = cost <= last, cost
                if stay is not None:
                    going = going & torch.zeros_like(going).index_fill(0, stay, True)
                stay = going.nonzero().flatten()
            if stay is not None:
                if not len(stay):
                    return
                rows, mask, free, last = rows.take(stay), mask[stay], free[stay], last[stay]
                mean, square = mean[stay], square[stay]

    def _looked(
        self, rows: Rows, site: Site, mask: Tensor, free: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Margins, objective, its gradient in the free variables, and the change."""
        sign = -1.0 if self.follow.startswith("against") else 1.0
        with torch.enable_grad():
            leaf = free.detach().requires_grad_()
            change = rows.threat.low + rows.width * (torch.tanh(leaf) + 1) / 2 - rows.x
            with site.watched() as seen:
                outputs = rows.threat.through(site.model, rows.x, change)
            z, margin = once(seen, len(rows)), rows.goal(outputs)
            short = (-margin).clamp(min=0)
            (slope,) = torch.autograd.grad(-short.sum(), z, retain_graph=True, allow_unused=True)
            slope = torch.zeros_like(z) if slope is None else slope
            along = slope * mask.reshape(*mask.shape, *[1] * (z.dim() - 2)).to(z)
            # The gradient of the length of a fixed vector at its own place is its direction.
            length = along.flatten(1).norm(dim=1)
            way = along / fit(length.clamp(min=1e-30), along)
            size = (change / rows.width).square().flatten(1).sum(1)
            pull = sign * (z * way.detach()).flatten(1).sum(1)
            cost = size + self.price * short - pull
            (gradient,) = torch.autograd.grad(cost.sum(), leaf)
        value = (size + self.price * short - sign * length).detach()
        reached = torch.where(margin.isfinite(), margin, torch.inf).detach()
        return reached, value, gradient.nan_to_num(0.0), change.detach()
