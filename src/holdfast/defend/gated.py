"""Two routes through a model, and a gate that asks how unsure each row makes the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet

Route = Literal["auto", "clean", "robust"]


def uncertainty(z: Tensor) -> Tensor:
    """`(B,)`: the entropy of the predicted distribution, in nats."""
    logp = z.log_softmax(-1)
    return -(logp.exp() * logp).sum(-1)


@dataclass(frozen=True)
class Cut:
    """Two normal distributions of the uncertainty: on usual rows and on spoilt ones.

    Args:
        usual: mean and standard deviation on usual rows.
        spoilt: mean and standard deviation on spoilt rows.
    """

    usual: tuple[float, float]
    spoilt: tuple[float, float]

    @classmethod
    def fit(cls, model: Model, usual: Batches, spoilt: Batches) -> Cut:
        """From rows of both kinds; labels are not looked at."""
        return cls(_normal(model, usual), _normal(model, spoilt))

    def odds(self, u: Tensor) -> Tensor:
        """`(B,)`: log-density of being spoilt minus that of being usual."""
        return _height(u, *self.spoilt) - _height(u, *self.usual)


def _normal(model: Model, batches: Batches) -> tuple[float, float]:
    """Mean and standard deviation of the uncertainty."""
    with quiet(model), torch.no_grad():
        if hasattr(model, "eval"):
            model.eval()
        parts = [uncertainty(logits(model(b.x))).double() for b in batches]
    if not parts or sum(len(p) for p in parts) < 2:
        raise Unsupported(
            f"a gate needs two rows or more of each kind, got {sum(len(p) for p in parts)}",
            fix="Give two usual and two spoilt rows or more.",
        )
    u = torch.cat(parts)
    return float(u.mean()), max(float(u.std()), 1e-3)


def _height(u: Tensor, mean: float, spread: float) -> Tensor:
    return -0.5 * ((u - mean) / spread).square() - torch.tensor(spread).log().to(u)


@dataclass(frozen=True, eq=False)
class Gated:
    """The accurate model on usual rows, the robust one on spoilt rows.

    Args:
        clean: the model as it was.
        robust: the one that was tuned.
        cut: tells which rows are spoilt, from how unsure the clean model is.
        route: `auto`, or one of the two for all rows.
    """

    clean: Model
    robust: Model
    cut: Cut
    route: Route = "auto"

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, K)` logits of the route that each row takes."""
        if self.route != "auto":
            return logits((self.clean if self.route == "clean" else self.robust)(x))
        z, hard = logits(self.clean(x)), logits(self.robust(x))
        spoilt = self.cut.odds(uncertainty(z).detach()) > 0
        return torch.where(spoilt[:, None], hard, z)


@register("defence", cites="robustify-pretrained", name="gated",
          says="Routes rows that make the model unsure to a robust one.")  # fmt: skip
@settings
class Gating:
    """Keeps a large model as it is and sends spoilt rows through a robust copy of it.

    How unsure the model is about a row is fitted by one normal distribution on usual rows and
    one on spoilt rows; a row takes the robust route where the second is denser. So usual rows
    get the answers of the original model, bit for bit, and the robust route can be a copy whose
    last layers alone were tuned (`hook:tune-only` with `objective:taught`), at little cost. The
    gate is a step and part of the model: attacks see the slope of the route that is taken, and
    an adversary who knows the gate can choose the weaker route.

    Unlike the paper: the entropy of one pass, not of several with dropout, so that the answer
    to a row is always the same; two heads, not three.

    Cost: a forward pass of each model.

    Args:
        robust: the tuned model; the model itself unless given.
        cut: from `Cut.fit`; needed for route `auto`, which is the clean one without it.
        route: `auto`, or one of the two for all rows.
    """

    robust: Ingredient[Model] = ingredient()
    cut: Ingredient[Cut] = ingredient()
    route: Route = "auto"

    def __call__(self, model: Model) -> Gated:
        """The model with a gate.

        Raises:
            ConfigError: with a robust model, route `auto` and no cut.
        """
        robust: Any = model if self.robust is None else self.robust
        if self.cut is None:
            if self.robust is not None and self.route == "auto":
                raise ConfigError(
                    "Gating needs a cut", fix="Pass cut=Cut.fit(model, usual, spoilt)."
                )
            return Gated(model, robust, Cut((0.0, 1.0), (0.0, 1.0)), self.route)
        return Gated(model, robust, self.cut, self.route)
