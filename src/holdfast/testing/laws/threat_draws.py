"""Laws of threats about what they draw: samples and neighbours."""

from __future__ import annotations

import torch

from holdfast.core.dice import Dice
from holdfast.core.kinds import Threat
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.threat_scenes import (
    KEYS,
    ROWS,
    alike,
    bound_world,
    is_coupled,
    must_fit,
    wild,
)


def law_samples_are_admissible(threat: Threat) -> None:
    """Samples and neighbours of samples are admissible."""
    threat, world, dice = bound_world(threat)
    change = threat.sample(world.x, dice)
    must_fit(threat, world.x, change, "a sample")
    for share in (1.0, 0.3, 0.01):
        change = threat.near(world.x, change, share, dice)
        must_fit(threat, world.x, change, "a neighbour")
        change = threat.near(world.x, change, share, dice, gradient=wild(threat, world.x))
        must_fit(threat, world.x, change, "a guided neighbour")


def law_samples_belong_to_rows(threat: Threat) -> None:
    """Samples and neighbours depend on seed and key of the row, not on the rows beside it."""
    threat, world, _ = bound_world(threat)
    if is_coupled(threat):
        return
    x, start = world.x, threat.sample(world.x, Dice(3, KEYS))
    moved = threat.near(x, start, 0.3, Dice(3, KEYS))
    for rows in (slice(0, 2), slice(2, ROWS)):
        part = threat.take(rows)
        own = part.sample(x[rows], Dice(3, KEYS[rows]))
        alike(own, start[rows], f"{threat.spec}: a sample depends on the chunk")
        own = part.near(x[rows], start[rows], 0.3, Dice(3, KEYS[rows]))
        alike(own, moved[rows], f"{threat.spec}: a neighbour depends on the chunk")


def law_samples_vary(threat: Threat) -> None:
    """Another seed or another call gives another sample; the same seed gives the same."""
    threat, world, _ = bound_world(threat)
    first, again, other = (threat.sample(world.x, Dice(s, KEYS)) for s in (1, 1, 2))
    if not torch.equal(first, again):
        raise LawBroken(f"{threat.spec}: the same seed gives another sample")
    if torch.equal(first, other):
        raise LawBroken(f"{threat.spec}: another seed gives the same sample")
    dice = Dice(1, KEYS)
    if torch.equal(threat.sample(world.x, dice), threat.sample(world.x, dice)):
        raise LawBroken(f"{threat.spec}: every call with the same dice gives the same sample")
