"""Changes of a model's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import modules_of
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm, toward_zero
from holdfast.threats.number import read, shown


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """The tensors that change: parameters with more than one axis, so no biases and no scales."""
    return {name: p.detach() for name, p in module.named_parameters() if p.dim() > 1}


def _slices(weights: dict[str, Tensor]) -> dict[str, slice]:
    ends = accumulate(w.numel() for w in weights.values())
    return {n: slice(e - w.numel(), e) for (n, w), e in zip(weights.items(), ends, strict=True)}


class _Called(nn.Module):
    """Calls a function that uses a module, so that the module's weights can be replaced."""

    def __init__(self, module: nn.Module, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self.module = module
        self.calls = (call,)  # in a tuple: a module must not be registered twice

    def forward(self, x: Any) -> Any:
        """The function itself."""
        return self.calls[0](x)


@register("threat", name="weights", cites="awp")
@settings
class Weights(Threat):
    """Changes every weight tensor by at most a share of its own Euclidean length.

    A change holds one unit ball per weight tensor side by side (`slices`), scaled by the length
    of that tensor when it is used; each row has its own weights. Rows are evaluated together by
    `vmap`, or in a single pass where all rows share one change. The model's own weights are never
    touched.

    Unlike the paper the change is found per row unless the threat is shared (`shared+weights:..`).

    Args:
        radius: length of the change of a tensor as a share of the length of the tensor.
        model: whose weights change; `of(model)` fills it in.
    """

    low = 0.0
    high = 1.0
    radius: NonNegative = 0.01
    model: Ingredient[nn.Module] = ingredient()

    @property
    def spec(self) -> str:
        return f"weights:{shown(self.radius)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Weights:
        """From the words behind the name: the radius."""
        if len(words) != 1:
            raise ConfigError(
                f"threat {text!r}: weights takes a radius", fix="Write weights:0.01.", code="E0140"
            )
        return cls(radius=read(words[0], text))

    def of(self, model: Model) -> Weights:
        """The same threat to the weights of a model.

        Raises:
            Unsupported: if the model is not made of exactly one module.
        """
        return replace(self, model=_module(model, self.spec))

    def _weights(self) -> dict[str, Tensor]:
        if self.model is None:
            fix = "Bind it first: threat.of(model)."
            raise Unsupported(f"{self.spec}: whose weights?", fix=fix)
        return weights_of(self.model)

    def slices(self, x: Tensor) -> dict[str, slice]:
        """Where the change of each weight tensor stands."""
        return _slices(self._weights())

    def none(self, x: Tensor) -> Tensor:
        weights = self._weights()
        first = next(iter(weights.values()), x)
        return first.new_zeros(len(x), sum(w.numel() for w in weights.values()))

    def _lengths(self, x: Tensor, change: Tensor) -> list[tuple[slice, Tensor]]:
        return [(s, norm(change[:, s], 2)) for s in self.slices(x).values()]

    def _unit(self, x: Tensor, change: Tensor) -> Tensor:
        """Each tensor's part scaled to length 1; zeros stay."""
        result = torch.zeros_like(change)
        for s, length in self._lengths(x, change):
            scale = torch.where(length > 0, 1 / length, 0.0)
            result[:, s] = toward_zero(change, change[:, s] * fit(scale, change))
        return result

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform directions, lengths uniform in [0, 1] radii."""
        none = self.none(x)
        draw = self._unit(x, dice.normal(none.shape[1:], device=none.device, dtype=none.dtype))
        far = dice.uniform(device=none.device, dtype=none.dtype)
        return self.project(x, draw * fit(far, draw))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """A step of `share` radii in a random direction, or along a gradient."""
        draw = dice.normal(change.shape[1:], device=change.device, dtype=change.dtype)
        way = draw if gradient is None else draw.abs() * gradient
        return self.project(x, change + share * self._unit(x, way))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        result = torch.nan_to_num(change, nan=0.0)
        for s, length in self._lengths(x, result):
            slack = 8 * torch.finfo(length.dtype).eps
            scale = torch.where(length > 1 + slack, 1 / length, 1.0)
            result[:, s] = toward_zero(change, result[:, s] * fit(scale, change))
        return result

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        lengths = [length for _, length in self._lengths(x, change)]
        return torch.stack(lengths).amax(0) if lengths else change.sum(1)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self._unit(x, gradient)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        """The input itself: only the model changes."""
        return x

    def scaled(self, factor: float) -> Weights:
        return replace(self, radius=self.radius * factor)

    def _changed(self, weights: dict[str, Tensor], change: Tensor) -> dict[str, Tensor]:
        """New weights out of one row `(P,)` of a change."""
        moves = {n: change[s].reshape_as(weights[n]) for n, s in _slices(weights).items()}
        return {
            f"module.{n}": w + self.radius * w.norm() * moves[n].to(w) for n, w in weights.items()
        }

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        module = _module(model, self.spec)
        weights, called = weights_of(module), _Called(module, model)
        if change.shape[1:] != (sum(w.numel() for w in weights.values()),):
            raise Unsupported(
                f"{self.spec}: the change has {change.shape[1]} numbers, the model other weights",
                fix="Bind the threat to the model that is attacked: threat.of(model).",
            )

        def one(row: Tensor, own: Tensor) -> Any:
            return torch.func.functional_call(called, self._changed(weights, row), (own,))

        if len(x) == 0 or (len(x) > 1 and change.stride(0) == 0):
            return one(change[0] if len(x) else change.sum(0), x)  # type: ignore[no-any-return]

        def alone(row: Tensor, own: Tensor) -> Any:
            out = one(row, own[None])
            return out[0] if isinstance(out, Tensor) else tuple(o[0] for o in out)

        return torch.vmap(alone, randomness="different")(change, x)  # type: ignore[no-any-return]


def _module(model: Model, spec: str) -> nn.Module:
    """The one module inside a model.

    Raises:
        Unsupported: if there is none, or more than one.
    """
    found = modules_of(model)
    if len(found) != 1:
        raise Unsupported(
            f"{spec}: needs a model made of one torch module, found {len(found)}",
            fix="Wrap the model in a torch.nn.Module.",
        )
    if isinstance(found[0], torch.jit.ScriptModule):
        raise Unsupported(
            f"{spec}: the weights of TorchScript cannot be replaced",
            fix="Give the weights with --arch, or export a .pt2.",
        )
    return found[0]
