"""Laws of threats: what is admissible, what projecting keeps, which rows depend on which."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Threat
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import Images
from holdfast.threats.bind import bind
from holdfast.threats.grammar import parse

ROWS = 6
KEYS = torch.tensor([11, 5, 3, 42, 0, 7])


def _world(threat: Threat, dtype: torch.dtype = torch.float64) -> tuple[Threat, Images, Dice]:
    """Images of this type, the threat bound to the model that sees them, and dice."""
    made = Images.make(rows=ROWS)
    world = Images(made.model.to(dtype), made.x.to(dtype), made.y)
    return bind(threat, world.model), world, Dice(3, KEYS)


def _wild(threat: Threat, x: Tensor, scale: float = 3.0) -> Tensor:
    """Changes far outside of most threats."""
    like = threat.none(x)
    return scale * Dice(1, KEYS[: len(x)]).normal(like.shape[1:], dtype=like.dtype)


def _admissible(threat: Threat, x: Tensor, change: Tensor, who: str) -> None:
    size = threat.size(x, change)
    if size.shape != (len(x),):
        raise LawBroken(f"{threat.spec}: size has the shape {tuple(size.shape)}, not (B,)")
    if not bool((size <= 1 + 1e-5).all()):
        raise LawBroken(f"{threat.spec}: {who} has size {float(size.max())}, more than 1")


def _near(a: Tensor, b: Tensor, says: str, tolerance: float = 1e-9) -> None:
    if a.shape != b.shape or a.dtype != b.dtype:
        raise LawBroken(f"{says}: {tuple(a.shape)} {a.dtype} against {tuple(b.shape)} {b.dtype}")
    if not torch.allclose(a, b, rtol=tolerance, atol=tolerance):
        raise LawBroken(f"{says}, by {float((a - b).abs().max()):.2g}")


def _coupled(threat: Threat) -> bool:
    return bool(getattr(threat, "coupled", False))


def law_no_change_has_size_zero(threat: Threat) -> None:
    """Doing nothing has size 0, at radius 0 too, and is admissible there."""
    threat, world, _ = _world(threat)
    for factor in (1.0, 0.5, 0.0):
        scaled = threat.scaled(factor)
        if bool((scaled.size(world.x, scaled.none(world.x)) != 0).any()):
            raise LawBroken(f"{scaled.spec}: no change has a size above 0")


def law_no_change_changes_nothing(threat: Threat) -> None:
    """Under no change the outputs are those of the model."""
    threat, world, _ = _world(threat)
    with torch.no_grad():
        out = logits(threat.through(world.model, world.x, threat.none(world.x)))
        _near(out, world.model(world.x), f"{threat.spec}: no change changes the outputs")


def law_radius_zero_changes_nothing(threat: Threat) -> None:
    """Scaled to radius 0, no sampled and no projected change changes the outputs."""
    threat, world, dice = _world(threat)
    zero = threat.scaled(0.0)
    with torch.no_grad():
        for change in (zero.sample(world.x, dice), zero.project(world.x, _wild(zero, world.x))):
            out = logits(zero.through(world.model, world.x, change))
            _near(out, world.model(world.x), f"{zero.spec}: a radius of 0 changes the outputs")


def law_projected_is_admissible(threat: Threat) -> None:
    """Whatever is projected has size at most 1 + 1e-5, in float64 and in float32."""
    for dtype in (torch.float64, torch.float32):
        bound, world, _ = _world(threat, dtype)
        for scale in (0.01, 1.0, 100.0):
            change = bound.project(world.x, _wild(bound, world.x, scale))
            _admissible(bound, world.x, change, "a projected change")


def law_projecting_twice_is_projecting_once(threat: Threat) -> None:
    """Projection leaves admissible changes as they are: projected, sampled and none."""
    threat, world, dice = _world(threat)
    x = world.x
    for change in (
        threat.none(x), threat.sample(x, dice), threat.project(x, _wild(threat, x)),
    ):  # fmt: skip
        again = threat.project(x, change)
        _near(again, change, f"{threat.spec}: projecting moves an admissible change")


def law_changed_inputs_are_valid(threat: Threat) -> None:
    """Changed inputs keep shape, type and the range [low, high]."""
    for dtype in (torch.float64, torch.float32):
        bound, world, dice = _world(threat, dtype)
        x = bound.low + (bound.high - bound.low) * world.x
        for change in (bound.sample(x, dice), bound.project(x, _wild(bound, x))):
            y = bound.apply(x, change)
            if y.shape != x.shape or y.dtype != x.dtype:
                raise LawBroken(f"{bound.spec}: changed inputs have another shape or type")
            if bool(((y < bound.low) | (y > bound.high)).any()):
                raise LawBroken(f"{bound.spec}: a changed input leaves [low, high]")


def law_samples_are_admissible(threat: Threat) -> None:
    """Samples and neighbours of samples are admissible."""
    threat, world, dice = _world(threat)
    change = threat.sample(world.x, dice)
    _admissible(threat, world.x, change, "a sample")
    for share in (1.0, 0.3, 0.01):
        change = threat.near(world.x, change, share, dice)
        _admissible(threat, world.x, change, "a neighbour")
        change = threat.near(world.x, change, share, dice, gradient=_wild(threat, world.x))
        _admissible(threat, world.x, change, "a guided neighbour")


def law_samples_belong_to_rows(threat: Threat) -> None:
    """Samples and neighbours depend on seed and key of the row, not on the rows beside it."""
    threat, world, _ = _world(threat)
    if _coupled(threat):
        return
    x, start = world.x, threat.sample(world.x, Dice(3, KEYS))
    moved = threat.near(x, start, 0.3, Dice(3, KEYS))
    for rows in (slice(0, 2), slice(2, ROWS)):
        part = threat.take(rows)
        own = part.sample(x[rows], Dice(3, KEYS[rows]))
        _near(own, start[rows], f"{threat.spec}: a sample depends on the chunk")
        own = part.near(x[rows], start[rows], 0.3, Dice(3, KEYS[rows]))
        _near(own, moved[rows], f"{threat.spec}: a neighbour depends on the chunk")


def law_samples_vary(threat: Threat) -> None:
    """Another seed gives another sample; the same seed gives the same."""
    threat, world, _ = _world(threat)
    first, again, other = (threat.sample(world.x, Dice(s, KEYS)) for s in (1, 1, 2))
    if not torch.equal(first, again):
        raise LawBroken(f"{threat.spec}: the same seed gives another sample")
    if torch.equal(first, other):
        raise LawBroken(f"{threat.spec}: another seed gives the same sample")


def law_rows_are_independent(threat: Threat) -> None:
    """Row i of project, apply, size and steepest does not depend on the other rows."""
    threat, world, dice = _world(threat)
    if _coupled(threat):
        return
    x, g = world.x, _wild(threat, world.x)
    change = threat.sample(x, dice)
    order = torch.tensor([4, 1])
    part, few = threat.take(order), x[order]
    with torch.no_grad():
        out = logits(threat.through(world.model, x, change))[order]
        own = logits(part.through(world.model, few, change[order]))
    for says, left, right in (
        ("project", threat.project(x, g)[order], part.project(few, g[order])),
        ("apply", threat.apply(x, change)[order], part.apply(few, change[order])),
        ("size", threat.size(x, change)[order], part.size(few, change[order])),
        ("steepest", threat.steepest(x, change, g)[order],
         part.steepest(few, change[order], g[order])),
        ("through", out, own),
    ):  # fmt: skip
        _near(left, right, f"{threat.spec}: {says} of a row depends on other rows")


def law_steepest_ascends(threat: Threat) -> None:
    """A small steepest step, projected, never lowers a linear function, and raises it somewhere."""
    threat, world, dice = _world(threat)
    x, g = world.x, _wild(threat, world.x)
    g = g[:1].expand_as(g) if _coupled(threat) else g
    for change in (threat.none(x), threat.project(x, 0.1 * threat.sample(x, dice))):
        step = threat.project(x, change + 0.1 * threat.steepest(x, change, g))
        rise = ((step - change) * g).flatten(1).sum(1)
        if not bool((rise >= -1e-9).all()) or not bool((rise > 0).any()):
            raise LawBroken(f"{threat.spec}: its steepest step does not ascend")


def law_zero_gradient_is_no_reason_to_fail(threat: Threat) -> None:
    """A gradient of zero gives a finite step."""
    threat, world, _ = _world(threat)
    none = threat.none(world.x)
    if not bool(threat.steepest(world.x, none, torch.zeros_like(none)).isfinite().all()):
        raise LawBroken(f"{threat.spec}: a gradient of zero gives a step that is not finite")


def law_gradient_reaches_the_change(threat: Threat) -> None:
    """The outputs can be differentiated with respect to a sampled change."""
    threat, world, dice = _world(threat)
    change = threat.sample(world.x, dice).clone().requires_grad_()
    out = logits(threat.through(world.model, world.x, change))
    (g,) = torch.autograd.grad(out[:, 0].sum(), change)
    if not bool(g.isfinite().all()) or bool((g == 0).flatten(1).all()):
        raise LawBroken(f"{threat.spec}: no finite gradient reaches the change")


def law_type_is_kept(threat: Threat) -> None:
    """Changes have the type of the input, half precision included."""
    for dtype in (torch.float32, torch.bfloat16):
        bound, world, dice = _world(threat, dtype)
        x = world.x
        for change in (
            bound.none(x), bound.sample(x, dice), bound.project(x, _wild(bound, x)),
            bound.near(x, bound.none(x), 0.5, dice),
            bound.steepest(x, bound.none(x), _wild(bound, x)),
        ):  # fmt: skip
            if change.dtype != dtype:
                raise LawBroken(f"{bound.spec}: {dtype} inputs get changes of {change.dtype}")
        _admissible(bound, x, bound.project(x, _wild(bound, x)), f"a {dtype} change")


def law_empty_batch_works(threat: Threat) -> None:
    """No rows in, no rows out."""
    threat, world, _ = _world(threat)
    x, dice = world.x[:0], Dice(3, KEYS[:0])
    change = threat.project(x, threat.near(x, threat.sample(x, dice), 0.5, dice))
    steep = threat.steepest(x, change, change)
    out = logits(threat.through(world.model, x, change))
    for value in (threat.none(x), change, steep, threat.size(x, change), out):
        if len(value) != 0:
            raise LawBroken(f"{threat.spec}: an empty batch gets rows")


def law_model_is_left_as_found(threat: Threat) -> None:
    """`through` leaves weights, hooks, modes and buffers of the model alone."""
    threat, world, dice = _world(threat)
    before = {k: v.clone() for k, v in world.model.state_dict().items()}
    hooks = [len(m._forward_hooks) for m in world.model.modules()]
    with torch.no_grad():
        threat.through(world.model, world.x, threat.sample(world.x, dice))
    after = world.model.state_dict()
    same = all(torch.equal(v, after[k]) for k, v in before.items())
    kept = hooks == [len(m._forward_hooks) for m in world.model.modules()]
    if not same or not kept or any(m.training for m in world.model.modules()):
        raise LawBroken(f"{threat.spec}: the model is not as it was")


def law_reads_what_it_prints(threat: Threat) -> None:
    """`parse(threat.spec) == threat`, for scaled ones too, and a larger one is larger."""
    for each in (threat, threat.scaled(0.5), threat.scaled(1 / 3), threat.scaled(2.0)):
        if parse(each.spec) != each or parse(each.spec).spec != each.spec:
            raise LawBroken(f"{each.spec} is read as {parse(each.spec)!r}, not as {each!r}")
