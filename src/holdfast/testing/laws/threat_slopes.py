"""Laws of threats about slopes: steepest steps ascend, and gradients reach changes."""

from __future__ import annotations

import torch

from holdfast.core.goal import logits
from holdfast.core.kinds import Threat
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.threat_scenes import bound_world, is_coupled, is_discrete, wild


def law_steepest_ascends(threat: Threat) -> None:
    """A small steepest step, projected, never lowers a linear function, and raises it somewhere."""
    if is_discrete(threat):
        return
    threat, world, dice = bound_world(threat)
    x, g = world.x, wild(threat, world.x)
    g = g[:1].expand_as(g) if is_coupled(threat) else g
    for change in (threat.none(x), threat.project(x, 0.1 * threat.sample(x, dice))):
        step = threat.project(x, change + 0.1 * threat.steepest(x, change, g))
        rise = ((step - change) * g).flatten(1).sum(1)
        if not bool((rise >= -1e-9).all()) or not bool((rise > 0).any()):
            raise LawBroken(f"{threat.spec}: its steepest step does not ascend")


def law_zero_gradient_is_no_reason_to_fail(threat: Threat) -> None:
    """A gradient of zero gives a finite step."""
    if is_discrete(threat):
        return
    threat, world, _ = bound_world(threat)
    none = threat.none(world.x)
    if not bool(threat.steepest(world.x, none, torch.zeros_like(none)).isfinite().all()):
        raise LawBroken(f"{threat.spec}: a gradient of zero gives a step that is not finite")


def law_gradient_reaches_the_change(threat: Threat) -> None:
    """The outputs can be differentiated with respect to a sampled change."""
    if is_discrete(threat):
        return
    threat, world, dice = bound_world(threat)
    change = threat.sample(world.x, dice).clone().requires_grad_()
    out = logits(threat.through(world.model, world.x, change))
    g = torch.zeros_like(change)
    if out.requires_grad:
        (found,) = torch.autograd.grad(out[:, 0].sum(), change, allow_unused=True)
        g = g if found is None else found
    if not bool(g.isfinite().all()) or bool((g == 0).flatten(1).all()):
        raise LawBroken(f"{threat.spec}: no finite gradient reaches the change")
