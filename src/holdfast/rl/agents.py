"""Agents that are given, not learnt here: linear feedback, a net's first choice, a stack."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.acting import Agent
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, Ingredient, Part, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet


@register("agent", name="linear")
@settings
class LinearFeedback(Agent):
    """Acts by a linear function of what it sees: `u = G x`.

    Args:
        gain: rows of G, one per action.
    """

    gain: tuple[tuple[float, ...], ...] = ((1.0,),)

    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        g = torch.tensor(self.gain, dtype=x.dtype, device=x.device)
        if x.dim() != 2 or x.shape[1] != g.shape[1]:
            raise Unsupported(
                f"agent:linear acts on (B, {g.shape[1]}), got {tuple(x.shape)}",
                fix=f"Give gain= one row per action of {g.shape[1]} numbers that the world shows, "
                "or another world.",
            )
        return x @ g.T, memory


@register("agent", name="greedy")
@settings
class Greedy(Agent):
    """Takes the action to which a model gives the largest output.

    Args:
        model: views -> logits, one per action.
    """

    model: Ingredient[Model] = ingredient()

    @classmethod
    def example(cls, world: Any) -> Greedy:
        """A fixed linear choice between two actions."""
        layer = nn.Linear(1, 2, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([[-1.0], [1.0]]))
            layer.bias.zero_()
        return cls(model=layer)

    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        if self.model is None:
            raise ConfigError("agent:greedy needs a model", fix="Greedy(model=net).")
        inner = getattr(self.model, "in_features", x.shape[-1])
        if inner != x.shape[-1]:
            raise Unsupported(
                f"agent:greedy acts on {inner} numbers, got {tuple(x.shape)}",
                fix="Give a model with as many inputs as the world shows.",
            )
        with quiet(self.model), torch.no_grad():
            return logits(self.model(x)).argmax(-1), memory


@register("agent", name="stacked")
@settings
class Stacked(Agent):
    """Shows its policy the last few views side by side, the newest last.

    Every view is stored once, as it was shown: what was added to it when it was new stays.

    Args:
        policy: acts on `frames` views `(n, frames * size)`; at the start the first one repeats.
        frames: views shown.
    """

    policy: Part[Agent] = "agent:linear"
    frames: Count = 1

    def start(self, n: int) -> Any:
        return None, resolve(self.policy).start(n)

    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        seen, inner = memory
        seen = x[:, None].expand(-1, self.frames, *x.shape[1:]) if seen is None else seen
        seen = torch.cat([seen[:, 1:], x[:, None]], 1)
        action, inner = resolve(self.policy).act(inner, seen.flatten(1), dice)
        return action, (seen, inner)
