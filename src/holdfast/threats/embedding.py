"""Changes of the vectors that tokens are looked up as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.fields import Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model
from holdfast.ops.geometry import toward_zero, wide
from holdfast.threats.latent import Latent
from holdfast.threats.number import read, shown
from holdfast.threats.weights import _module


@register("threat", name="embedding", cites="continuous-adversarial-llm")
@settings
class Embedding(Latent):
    """Moves the vector of every token by at most a radius.

    A change holds one vector per token, each in a unit ball of its own, whatever the others do:
    a ball per row would let an adversary spend everything on one token. It is scaled by
    the radius, in mean lengths of the rows of the embedding's table. Inputs that are
    numbers already are taken as vectors of length 1, along their last dimension. The model must
    look its ids up in a `torch.nn.Embedding`; the hook on it is removed whatever happens.

    Args:
        radius: largest change of a vector.
        norm: Euclidean balls, or boxes (every coordinate by itself).
        relative: whether the radius counts in mean lengths of the table's rows.
        layer: name of the embedding; empty for the one with the most rows.
        where: `(B, T)` bool, tokens that may be changed; without it all.
        model: that holds the embedding; `of(model)` fills it in.
    """

    radius: NonNegative = 0.05
    norm: Literal["l2", "linf"] = "l2"
    relative: bool = True
    where: Ingredient[Tensor] = ingredient()

    @property
    def spec(self) -> str:
        own = ["embedding", shown(self.radius)]
        plain = (self.norm, self.relative, self.layer) == ("l2", True, "")
        unit = "relative" if self.relative else "absolute"
        return ":".join(own if plain else [*own, self.norm, unit, self.layer]).rstrip(":")

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Embedding:
        """From the words behind the name: radius, then norm, unit and layer."""
        norm, unit, layer = [*words[1:], *("l2", "relative", "")[len(words) - 1 :]][:3]
        known = norm in ("l2", "linf") and unit in ("relative", "absolute")
        if not 1 <= len(words) <= 4 or not known:
            raise ConfigError(
                f"threat {text!r}: embedding takes a radius, a norm, a unit and a layer",
                fix="Write embedding:0.05 or embedding:0.1:linf:absolute:wte.",
                code="E0140",
            )
        kind: Any = norm
        radius = read(words[0], text)
        return cls(radius=radius, norm=kind, relative=unit == "relative", layer=layer)

    def _at(self, module: nn.Module) -> nn.Module:
        """The embedding of the tokens; the module itself where it has none (inputs are vectors)."""
        if self.layer:
            return super()._at(module)
        found = [m for m in module.modules() if isinstance(m, nn.Embedding)]
        return max(found, key=lambda m: m.num_embeddings) if found else module

    def _table(self, model: Model | None) -> nn.Embedding:
        """The embedding that ids are looked up in."""
        if model is None:
            raise Unsupported(
                f"{self.spec}: of which model?", fix="Bind it first: threat.of(model)."
            )
        found = self._at(_module(model, self.spec) if self.model is None else self.model)
        if not isinstance(found, nn.Embedding):
            raise Unsupported(
                f"{self.spec}: the model looks no ids up in a torch.nn.Embedding",
                fix="Name the embedding, or pass vectors (B, T, d) instead of ids.",
            )
        return found

    def none(self, x: Tensor) -> Tensor:
        """Zeros, one vector per token; costs nothing."""
        if x.is_floating_point():
            return torch.zeros_like(x)
        weight = self._table(self.model).weight
        return weight.new_zeros(*x.shape, weight.shape[1])

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """A uniform direction per token, its length uniform in [0, 1] radii."""
        none = self.none(x)
        draw = dice.normal(none.shape[1:], device=none.device, dtype=none.dtype)
        far = dice.uniform(none.shape[1:-1], device=none.device, dtype=none.dtype)
        return self.project(x, self._steep(draw) * far[..., None])

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """A step of `share` radii of every token in a random direction, or along a gradient."""
        draw = dice.normal(change.shape[1:], device=change.device, dtype=change.dtype)
        way = draw if gradient is None else draw.abs() * gradient
        return self.project(x, change + share * self._steep(way))

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        clean = torch.nan_to_num(change, nan=0.0) * self._free(change)
        if self.norm == "linf":
            return clean.clamp(-1, 1)
        length = self._lengths(clean)
        scale = torch.where(length > 1 + 8 * torch.finfo(clean.dtype).eps, 1 / length, 1.0)
        return toward_zero(change, clean * scale)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B,)`: the longest change of a token in radii; infinite where none is allowed."""
        size = (
            self._lengths(change).flatten(1).amax(1) if change[:1].numel() else x.new_zeros(len(x))
        )
        outside = ((change != 0) & (self._free(change) == 0)).flatten(1).any(1)
        return size.masked_fill(outside, torch.inf)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self._steep(torch.nan_to_num(gradient, nan=0.0) * self._free(gradient))

    def take(self, rows: Tensor | slice) -> Embedding:
        return self if self.where is None else replace(self, where=self.where[rows])

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        if x.is_floating_point():
            return model(x + self.radius * change.to(x))
        table = self._table(model)
        weight = table.weight.detach()
        one = weight.new_ones((), dtype=wide(weight))
        unit = weight.to(one).norm(dim=1).mean() if self.relative else one
        reached: list[bool] = []

        def add(module: nn.Module, given: Any, out: Tensor) -> Tensor | None:
            if out.shape != change.shape:
                return None
            reached.append(True)
            return out + (self.radius * unit).to(out) * change.to(out)

        handle = table.register_forward_hook(add)
        try:
            outputs = model(x)
        finally:
            handle.remove()
        if not reached and len(x):
            raise Unsupported(
                f"{self.spec}: the embedding is not used on ids {tuple(x.shape)}",
                fix="Name the embedding of the tokens.",
            )
        return outputs

    def _free(self, change: Tensor) -> Tensor:
        """1 where a change is allowed, shaped to multiply it.

        Raises:
            ShapeError: if `where` does not have a flag per token.
        """
        if self.where is None:
            return change.new_ones(())
        if self.where.shape != change.shape[:-1]:
            raise ShapeError(
                f"{self.spec}: {tuple(self.where.shape)} flags for changes {tuple(change.shape)}",
                fix="Give one flag per row and token.",
            )
        return self.where.to(change)[..., None]

    def _lengths(self, change: Tensor) -> Tensor:
        """`(B, ..., 1)`: length of every vector."""
        kind = change.float() if change.dtype in (torch.float16, torch.bfloat16) else change
        order = 2 if self.norm == "l2" else torch.inf
        found: Tensor = torch.linalg.vector_norm(kind, order, dim=-1, keepdim=True)
        return found

    def _steep(self, way: Tensor) -> Tensor:
        """Every vector scaled to size 1; zeros stay."""
        if self.norm == "linf":
            return way.sign()
        length = self._lengths(way)
        return toward_zero(way, way * torch.where(length > 0, 1 / length, 0.0))
