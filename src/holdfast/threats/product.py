"""Several threats at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model, Threat
from holdfast.threats.affine import Affine, Rotation, Translation, warp


@register("threat", name="product", cites="exploring-spatial-robustness")
@settings
class Product(Threat):
    """Several threats at once, one after the other, each with its own radius.

    A change holds the flattened changes of the parts side by side (`slices`); it is admissible
    iff every part is. Rotations and translations become one affine map, so the image is
    resampled once; other parts see what the parts before them have made of the input.

    Args:
        parts: the threats, in the order in which they act.
    """

    parts: tuple[Part[Threat], ...] = (Rotation(), Translation())

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(resolve(p) for p in self.parts))

    @property
    def winding(self) -> bool:  # type: ignore[override]
        """Whether a part is."""
        return any(p.winding for p in self._parts)

    @property
    def low(self) -> float:  # type: ignore[override]
        """Least valid input value: the widest of the parts."""
        return min((p.low for p in self._parts), default=0.0)

    @property
    def high(self) -> float:  # type: ignore[override]
        """Largest valid input value: the widest of the parts."""
        return max((p.high for p in self._parts), default=1.0)

    @property
    def _parts(self) -> tuple[Threat, ...]:
        return self.parts  # type: ignore[return-value]

    @property
    def spec(self) -> str:
        return "+".join(p.spec for p in self._parts)

    def slices(self, x: Tensor) -> list[slice]:
        """Where the change of each part stands."""
        sizes = [p.none(x[:1]).flatten(1).shape[1] for p in self._parts]
        ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def split(self, x: Tensor, change: Tensor) -> list[Tensor]:
        """The change of each part, in the form of that part."""
        cuts = zip(self._parts, self.slices(x), strict=True)
        return [change[:, s].reshape(len(change), *p.none(x[:1]).shape[1:]) for p, s in cuts]

    def _side_by_side(
        self, x: Tensor, change: Tensor | None, each: Callable[[int, Threat, Tensor], Tensor]
    ) -> Tensor:
        """Joins `each(position, part, its input)`; each part's result changes the next's input."""
        found = []
        for i, part in enumerate(self._parts):
            own = each(i, part, x)
            found.append(own.flatten(1))
            if change is None or i + 1 < len(self._parts):
                x = part.apply(x, own).detach()
        return torch.cat(found, 1)

    def none(self, x: Tensor) -> Tensor:
        return torch.cat([p.none(x).flatten(1) for p in self._parts], 1)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        return self._side_by_side(x, None, lambda i, p, x: p.sample(x, dice))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        own = self.split(x, change)
        uphill = [None] * len(own) if gradient is None else self.split(x, gradient)
        return self._side_by_side(
            x, change, lambda i, p, x: p.near(x, own[i], share, dice, uphill[i])
        )

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        own = self.split(x, change)
        return self._side_by_side(x, change, lambda i, p, x: p.project(x, own[i]))

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        own, uphill = self.split(x, change), self.split(x, gradient)
        steps, seen = [], x
        for part, c, g in zip(self._parts, own, uphill, strict=True):
            steps.append(part.steepest(seen, c, g).flatten(1))
            seen = part.apply(seen, c).detach()
        return torch.cat(steps, 1)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        sizes = []
        for part, own in zip(self._parts, self.split(x, change), strict=True):
            sizes.append(part.size(x, own))
            x = part.apply(x, own).detach()
        return torch.stack(sizes).amax(0)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        own = self.split(x, change)
        affine = [p for p in self._parts if isinstance(p, Affine)]
        if len(affine) == len(own) and len({p.padding for p in affine}) == 1:
            maps = [p.inverse(x, c) for p, c in zip(affine, own, strict=True)]
            whole = reduce(torch.matmul, maps)
            return warp(x, whole, affine[0].padding, self.low, self.high)
        for part, c in zip(self._parts, own, strict=True):
            x = part.apply(x, c)
        return x

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        inner = [type(p).through is not Threat.through for p in self._parts]
        if not any(inner):
            return model(self.apply(x, change))
        if any(inner[:-1]):
            raise Unsupported(
                f"{self.spec}: a change inside the model must come last",
                fix="Write it at the end, and only one of them, e.g. linf:8/255+weights:0.01.",
            )
        own = self.split(x, change)
        for part, c in zip(self._parts[:-1], own[:-1], strict=True):
            x = part.apply(x, c)
        return self._parts[-1].through(model, x, own[-1])

    def scaled(self, factor: float) -> Product:
        return replace(self, parts=tuple(p.scaled(factor) for p in self._parts))
