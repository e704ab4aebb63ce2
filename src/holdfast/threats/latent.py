"""Changes of what a layer inside the model hands on."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import fit, take
from holdfast.ops.geometry import norm, toward_zero
from holdfast.threats.number import read, shown
from holdfast.threats.weights import _module


@register("threat", name="latent", cites="latent-adversarial-training")
@settings
class Latent(Threat):
    """Adds to the output of a named layer at most a share of that output's length.

    A change is a tensor like the layer's output, in a Euclidean unit ball per row; it is scaled
    by radius times the length of what the layer hands on. With an embedding as the layer this
    is the embedding-space threat of language models. The hook is removed whatever happens.

    Unlike the paper the radius is relative to the activation, so one number suits every layer.

    Args:
        layer: name of the submodule, as in `model.named_modules()`; empty for the model's output.
        radius: length of the change as a share of the length of the layer's output.
        model: that holds the layer; `of(model)` fills it in.
    """

    low = 0.0
    high = 1.0
    layer: str = ""
    radius: NonNegative = 0.1
    model: Ingredient[nn.Module] = ingredient()

    @property
    def spec(self) -> str:
        return f"latent:{self.layer}:{shown(self.radius)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Latent:
        """From the words behind the name: the layer and the radius."""
        if len(words) != 2:
            raise ConfigError(
                f"threat {text!r}: latent takes a layer and a radius",
                fix="Write latent:layer2:0.1.",
                code="E0140",
            )
        return cls(layer=words[0], radius=read(words[1], text))

    def of(self, model: Model) -> Latent:
        """The same threat to the layer of a model.

        Raises:
            Unsupported: if the model is not made of exactly one module.
            ConfigError: if it has no such layer.
        """
        module = _module(model, self.spec)
        self._at(module)
        return replace(self, model=module)

    def _at(self, module: nn.Module) -> nn.Module:
        """The layer itself, or an error that names the nearest ones."""
        layers = dict(module.named_modules())
        if self.layer not in layers:
            near = get_close_matches(self.layer, list(layers), 3, 0.3) or list(layers)[1:6]
            raise ConfigError(
                f"{self.spec}: the model has no layer {self.layer!r}",
                fix=f"It has {', '.join(near)} ...",
                code="E0141",
            )
        found: nn.Module = layers[self.layer]
        return found

    def none(self, x: Tensor) -> Tensor:
        """Zeros like the layer's output; costs one forward of one row."""
        if self.model is None:
            raise Unsupported(
                f"{self.spec}: of which model?", fix="Bind it first: threat.of(model)."
            )
        probe = take(x, slice(0, 1)) if len(x) else x.new_zeros(1, *x.shape[1:])
        seen: list[Tensor] = []
        handle = self._at(self.model).register_forward_hook(lambda m, a, out: seen.append(out))
        try:
            with quiet(self.model), torch.no_grad():
                self.model.eval()(probe)
        finally:
            handle.remove()
        if not seen or not isinstance(seen[0], Tensor) or len(seen[0]) != 1:
            raise Unsupported(
                f"{self.spec}: the layer does not hand on one tensor with a row per input",
                fix="Choose another layer.",
            )
        return seen[0].new_zeros(len(x), *seen[0].shape[1:])

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """A uniform direction, its length uniform in [0, 1] radii."""
        none = self.none(x)
        draw = dice.normal(none.shape[1:], device=none.device, dtype=none.dtype)
        far = dice.uniform(device=none.device, dtype=none.dtype)
        return self.project(x, _unit(draw) * fit(far, draw))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """A step of `share` radii in a random direction, or along a gradient."""
        draw = dice.normal(change.shape[1:], device=change.device, dtype=change.dtype)
        way = draw if gradient is None else draw.abs() * gradient
        return self.project(x, change + share * _unit(way))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        clean = torch.nan_to_num(change, nan=0.0)
        length = self.size(x, clean)
        slack = 8 * torch.finfo(length.dtype).eps
        scale = torch.where(length > 1 + slack, 1 / length, 1.0)
        return toward_zero(change, clean * fit(scale, clean))

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        return norm(change, 2)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return _unit(gradient)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        """The input itself: only what the layer hands on changes."""
        return x

    def scaled(self, factor: float) -> Latent:
        return replace(self, radius=self.radius * factor)

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        reached: list[bool] = []

        def add(module: nn.Module, inputs: Any, out: Any) -> Any:
            if not isinstance(out, Tensor) or out.shape != change.shape:
                return None
            reached.append(True)
            length = (self.radius * norm(out.detach(), 2)).to(out)
            return out + fit(length, out) * change.to(out)

        handle = self._at(_module(model, self.spec)).register_forward_hook(add)
        try:
            outputs = model(x)
        finally:
            handle.remove()
        if not reached:
            raise Unsupported(
                f"{self.spec}: the layer was not used on inputs {tuple(x.shape)}",
                fix="Choose a layer that every input passes, or bind the threat anew.",
            )
        return outputs


def _unit(way: Tensor) -> Tensor:
    """Rows scaled to length 1; zeros stay."""
    length = norm(way, 2)
    return toward_zero(way, way * fit(torch.where(length > 0, 1 / length, 0.0), way))
