"""Laws of threats: what is admissible, what projecting keeps, which rows depend on which.

Changes that are whole numbers (`discrete`) have no steepest step and no gradient: the laws of
those do not speak of them, and their type is that of the ids.
"""

from __future__ import annotations

from contextlib import suppress

import torch

from holdfast.core.catalog import entries, entry_of
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Threat
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.threat_draws import (
    law_samples_are_admissible,
    law_samples_belong_to_rows,
    law_samples_vary,
)
from holdfast.testing.laws.threat_scenes import (
    KEYS,
    alike,
    bound_world,
    is_coupled,
    is_discrete,
    must_fit,
    wild,
)
from holdfast.testing.laws.threat_slopes import (
    law_gradient_reaches_the_change,
    law_steepest_ascends,
    law_zero_gradient_is_no_reason_to_fail,
)
from holdfast.testing.traces import Interrupted, no_trace
from holdfast.threats.bind import bind
from holdfast.threats.grammar import parse

# Laws of this kind that stand in a file of their own.
__all__ = [
    "law_gradient_reaches_the_change",
    "law_samples_are_admissible",
    "law_samples_belong_to_rows",
    "law_samples_vary",
    "law_steepest_ascends",
    "law_zero_gradient_is_no_reason_to_fail",
]


def law_no_change_has_size_zero(threat: Threat) -> None:
    """Doing nothing has size 0, at radius 0 too, and is admissible there."""
    threat, world, _ = bound_world(threat)
    for factor in (1.0, 0.5, 0.0):
        scaled = threat.scaled(factor)
        if bool((scaled.size(world.x, scaled.none(world.x)) != 0).any()):
            raise LawBroken(f"{scaled.spec}: no change has a size above 0")


def law_no_change_changes_nothing(threat: Threat) -> None:
    """Under no change the outputs are those of the model."""
    threat, world, _ = bound_world(threat)
    with torch.no_grad():
        out = logits(threat.through(world.model, world.x, threat.none(world.x)))
        alike(out, world.model(world.x), f"{threat.spec}: no change changes the outputs")


def law_radius_zero_changes_nothing(threat: Threat) -> None:
    """Scaled to radius 0, no sampled and no projected change changes the outputs."""
    threat, world, dice = bound_world(threat)
    zero = threat.scaled(0.0)
    with torch.no_grad():
        for change in (zero.sample(world.x, dice), zero.project(world.x, wild(zero, world.x))):
            out = logits(zero.through(world.model, world.x, change))
            alike(out, world.model(world.x), f"{zero.spec}: a radius of 0 changes the outputs")


def law_projected_is_admissible(threat: Threat) -> None:
    """Whatever is projected has size at most 1 + 1e-5, in float64 and in float32."""
    for dtype in (torch.float64, torch.float32):
        bound, world, _ = bound_world(threat, dtype)
        for scale in (0.01, 1.0, 100.0):
            change = bound.project(world.x, wild(bound, world.x, scale))
            must_fit(bound, world.x, change, "a projected change")


def law_projecting_twice_is_projecting_once(threat: Threat) -> None:
    """Projection leaves admissible changes as they are: projected, sampled and none."""
    threat, world, dice = bound_world(threat)
    x = world.x
    for change in (
        threat.none(x), threat.sample(x, dice), threat.project(x, wild(threat, x)),
    ):  # fmt: skip
        again = threat.project(x, change)
        alike(again, change, f"{threat.spec}: projecting moves an admissible change")


def law_changed_inputs_are_valid(threat: Threat) -> None:
    """Changed inputs keep shape, type and the range [low, high]."""
    for dtype in (torch.float64, torch.float32):
        bound, world, dice = bound_world(threat, dtype)
        x = world.x if is_discrete(bound) else bound.low + (bound.high - bound.low) * world.x
        for change in (bound.sample(x, dice), bound.project(x, wild(bound, x))):
            y = bound.apply(x, change)
            if y.shape != x.shape or y.dtype != x.dtype:
                raise LawBroken(f"{bound.spec}: changed inputs have another shape or type")
            if bool(((y < bound.low) | (y > bound.high)).any()):
                raise LawBroken(f"{bound.spec}: a changed input leaves [low, high]")


def law_rows_are_independent(threat: Threat) -> None:
    """Row i of project, apply, size and steepest does not depend on the other rows."""
    threat, world, dice = bound_world(threat)
    if is_coupled(threat):
        return
    x, g = world.x, wild(threat, world.x)
    change = threat.sample(x, dice)
    order = torch.tensor([4, 1])
    part, few = threat.take(order), x[order]
    with torch.no_grad():
        out = logits(threat.through(world.model, x, change))[order]
        own = logits(part.through(world.model, few, change[order]))
    pairs = [
        ("project", threat.project(x, g)[order], part.project(few, g[order])),
        ("apply", threat.apply(x, change)[order], part.apply(few, change[order])),
        ("size", threat.size(x, change)[order], part.size(few, change[order])),
        ("through", out, own),
    ]
    if not is_discrete(threat):
        steps = part.steepest(few, change[order], g[order])
        pairs.append(("steepest", threat.steepest(x, change, g)[order], steps))
    for says, left, right in pairs:
        alike(left, right, f"{threat.spec}: {says} of a row depends on other rows")


def law_type_is_kept(threat: Threat) -> None:
    """Changes have the type of the input, half precision included."""
    for dtype in (torch.float32, torch.bfloat16):
        bound, world, dice = bound_world(threat, dtype)
        x = world.x
        changes = [
            bound.none(x), bound.sample(x, dice), bound.project(x, wild(bound, x)),
            bound.near(x, bound.none(x), 0.5, dice),
        ]  # fmt: skip
        if not is_discrete(bound):
            changes.append(bound.steepest(x, bound.none(x), wild(bound, x)))
        if wrong := [c.dtype for c in changes if c.dtype != x.dtype]:
            raise LawBroken(f"{bound.spec}: {x.dtype} inputs get changes of {wrong[0]}")
        must_fit(bound, x, bound.project(x, wild(bound, x)), f"a {dtype} change")


def law_empty_batch_works(threat: Threat) -> None:
    """No rows in, no rows out."""
    threat, world, _ = bound_world(threat)
    x, dice = world.x[:0], Dice(3, KEYS[:0])
    change = threat.project(x, threat.near(x, threat.sample(x, dice), 0.5, dice))
    steep = change if is_discrete(threat) else threat.steepest(x, change, change)
    out = logits(threat.through(world.model, x, change))
    for value in (threat.none(x), change, steep, threat.size(x, change), out):
        if len(value) != 0:
            raise LawBroken(f"{threat.spec}: an empty batch gets rows")


def law_model_is_left_as_found(threat: Threat) -> None:
    """`through` leaves weights, gradients, hooks, modes and buffers alone, stopped or not."""
    threat, world, dice = bound_world(threat)
    change = threat.sample(world.x, dice)
    with no_trace(threat, world.model):
        threat.through(world.model, world.x, change)
    # Stopped inside, where hooks and changed weights are in place.
    world.model.add_module("head", Interrupted(world.model.get_submodule("head"), 0))
    with suppress(KeyboardInterrupt), no_trace(threat, world.model):
        bind(threat, world.model).through(world.model, world.x, change)


def law_reads_what_it_prints(threat: Threat) -> None:
    """`parse(threat.spec) == threat`, for scaled ones too, and a larger one is larger.

    A threat that is not in the catalogue may print a name of its own, but not one of ours.
    """
    name = threat.spec.partition(":")[0].partition("+")[0]
    if entry_of(type(threat)) is None and name not in {e.name for e in entries("threat")}:
        return
    for each in (threat, threat.scaled(0.5), threat.scaled(1 / 3), threat.scaled(2.0)):
        if parse(each.spec) != each or parse(each.spec).spec != each.spec:
            raise LawBroken(f"{each.spec} is read as {parse(each.spec)!r}, not as {each!r}")
