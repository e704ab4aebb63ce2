"""How much robustness rests on each layer: what moving its weights alone can undo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.endless import LargestLoss
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.weights import Landscape, landscape


@dataclass(frozen=True)
class Criticality:
    """The rise of the loss under attack by layer.

    Args:
        rises: nats, by the name of the weight.
        count: rows.
        threat: under which rows were attacked.
        seed: of the attack.
        name: prefix of the readings.
    """

    rises: dict[str, float]
    count: int
    threat: str
    seed: int
    name: str

    @property
    def least(self) -> str:
        """The weight on which robustness rests least."""
        return min(self.rises, key=lambda k: self.rises[k])

    @property
    def most(self) -> str:
        """The weight on which it rests most."""
        return max(self.rises, key=lambda k: self.rises[k])

    def readings(self) -> tuple[Reading, ...]:
        """One lower bound per weight."""
        return tuple(
            Reading(name=f"{self.name}.{k}", value=v, low=v, high=float("inf"), n=self.count,
                    bound="lower", unit="nats", better="lower", threat=self.threat, seed=self.seed)
            for k, v in self.rises.items()
        )  # fmt: skip


@register("measure", cites="rift")
def robust_criticality(
    model: Model,
    batches: Batches,
    *,
    threat: Part[Threat] = "threat:linf",
    attack: Part[Attack] = "attack:pgd",
    radius: float = 0.1,
    steps: int = 10,
    seed: int = 0,
    name: str = "criticality",
) -> Criticality:
    """How far the loss on attacked rows rises when one layer's weights are moved.

    Rows are attacked once, for the model as it is. Then each weight matrix or filter bank alone
    climbs that loss by normalised gradients, inside the ball whose radius is a share of its own
    Euclidean length, and the largest rise that was seen counts; not moving counts too, so it is
    never negative. Where it is small, robustness does not depend on the layer, which may learn
    something else.

    Unlike the paper: steps have the length of half the radius, not a rate, and each is
    projected; no rows that the model is chosen or judged by are needed.

    Args:
        model: an nn.Module; its weights are left as they are.
        batches: labelled rows of one tensor.
        threat: under which robustness counts.
        attack: how rows are attacked.
        radius: of the ball of weights, as a share of the layer's own length.
        steps: of the climb in each layer.
        seed: of the attack.
        name: prefix of the readings.

    Returns:
        A lower bound of the largest rise per layer, in nats.

    Raises:
        ConfigError: for a radius or steps that are not positive.
        Unsupported: if the model has no weight matrix, no row is labelled, or inputs are not one
            tensor.

    Cost: the attack; per layer `steps` forward and backward passes over the rows, and as many
    forward passes again.
    """
    inside("(0, inf)", name, radius=radius)
    inside("[1, inf]", name, steps=steps)
    one_tensor(batches.x, name)
    landscape(model, batches, name)  # says what is missing before anything is attacked
    method, within = resolve(attack), resolve(threat)
    with quiet(model):
        moved = torch.cat([
            _attacked(model, batches.take(part),
                      method, within, seed, name)
            for part in torch.arange(len(batches)).split(batches.size)
        ])  # fmt: skip
        land = landscape(model, replace(batches, x=moved), name)
        layers = [k for k, w in land.weights.items() if w.dim() > 1]
        if not layers:
            raise Unsupported(
                f"{name}: the model has no weight matrix",
                fix="Give a model with a parameter of two axes or more, such as an nn.Linear has.",
            )
        here = land.loss(land.weights)
        rises = {k: max(0.0, _climb(land, k, radius, steps) - here) for k in layers}
    return Criticality(rises, land.count, within.spec, seed, name)


def _attacked(
    model: Model, batches: Batches, attack: Attack, threat: Threat, seed: int, name: str
) -> Tensor:
    """Rows with the change that has the largest loss."""
    x: Tensor = batches.x  # type: ignore[assignment]
    goal = LargestLoss(Untargeted(batches.y.clamp(min=0)))
    change = attack(model, x, goal, threat, dice=Dice(seed, batches.index, name))
    return threat.apply(x, threat.project(x, change)).detach()


def _climb(land: Landscape, layer: str, radius: float, steps: int) -> float:
    """The largest loss seen while one layer climbs inside its ball."""
    weights = land.weights
    start, best = weights[layer], -torch.inf
    reach = radius * start.norm()
    move = torch.zeros_like(start)
    for _ in range(steps):
        slope = land.gradient({**weights, layer: start + move})[layer]
        move = move + 0.5 * reach * slope / slope.norm().clamp(min=1e-30)
        move = move * (reach / move.norm().clamp(min=1e-30)).clamp(max=1.0)
        best = max(best, land.loss({**weights, layer: start + move}))
    return best
