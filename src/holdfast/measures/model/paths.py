"""The paths that features take when inputs are changed more and more."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.inputs import with_slope
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside

Alteration = Literal["noise", "climb"]


def trajectories(
    encoder: Model,
    x: Tensor,
    threat: Threat,
    *,
    alteration: Alteration = "noise",
    levels: int = 10,
    steps: int = 3,
    dice: Dice,
) -> Tensor:
    """`(B, levels + 1, D)`: features of each row under growing changes; level 0 is no change.

    `noise` goes straight to one admissible change drawn per row: level l is l / levels of it.
    `climb` ascends the distance of the features from where they began, inside l / levels of the
    threat, from where the level before has ended: successive points form a path.

    Args:
        encoder: inputs -> features first.
        x: inputs.
        threat: the largest changes.
        alteration: how inputs are changed.
        levels: of growing change.
        steps: of ascent per level, each along the threat's steepest direction.
        dice: keyed draws of the rows.

    Cost: `levels + 1` forward passes; for `climb` `levels * steps` more, and as many backward.
    """
    inside("[1, inf]", "trajectories", levels=levels, steps=steps)
    with quiet(encoder):
        none = threat.none(x).detach()
        whole = threat.sample(x, dice).detach()
        with torch.no_grad():
            places = [_features(encoder, x, threat, none)]
        change = none
        for level in range(1, levels + 1):
            share = level / levels
            if alteration == "noise":
                change = whole * share
            else:
                # At no change at all the distance has no slope, so a path begins with the noise.
                change = whole * share * 0.1 if level == 1 else change
                small = threat.scaled(share)
                for _ in range(steps):
                    change = _climbed(encoder, x, small, change, places[0], 1 / (level * steps))
            with torch.no_grad():
                places.append(_features(encoder, x, threat, change))
        return torch.stack(places, 1)


def _features(encoder: Model, x: Tensor, threat: Threat, change: Tensor) -> Tensor:
    return logits(threat.through(encoder, x, change)).flatten(1).double()


def _climbed(
    encoder: Model, x: Tensor, threat: Threat, change: Tensor, start: Tensor, share: float
) -> Tensor:
    """One step of ascent of the features' distance, `2 share` radii long, projected."""
    with torch.enable_grad():
        moved = change.detach().clone().requires_grad_()
        away = (_features(encoder, x, threat, moved) - start).norm(dim=1).sum()
        with_slope(away, f"a path under {threat.spec}")
        (slope,) = torch.autograd.grad(away, moved)
    step = threat.steepest(x, change, slope.nan_to_num(0.0))
    return threat.project(x, change + 2 * share * step).detach()
