"""Can the result of an attack be believed? Signs that it cannot."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.checks.signs import SelfCheck, signs
from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Untargeted, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.run.search import Found, search

__all__ = ["SelfCheck", "self_checks"]


def self_checks(model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """Look at outputs and slopes, then attack with fewer and more steps, wider and blind.

    On an honest net answers repeat, slopes exist, more steps and a larger radius never lose
    rows, two starts agree, a ball that holds every input breaks what another row's input is
    seen to break, and queries alone do not find what gradients miss. Slack: one row or 3 % of
    the rows, whichever is more, for the chance in random starts.

    Cost: about 240 forwards and 130 backwards per row that stays unbroken.

    Args:
        model: the function under test.
        x: rows, a few dozen are enough.
        y: their labels.
        threat: the threat of the audit.
        dice: keyed draws of these rows.
    """
    if not len(x):
        return []
    goal, slack, n = Untargeted(y), max(1, round(0.03 * len(x))), len(x)
    found = signs(model, x, goal, threat, dice.spawn("signs"))
    try:
        few = _climb(model, x, goal, threat, dice, 4)
    except Unsupported:  # no gradient reaches the change, which the signs have said
        return found
    many = _climb(model, x, goal, threat, dice, 20)
    wide = _climb(model, x, goal, threat.scaled(2.0), dice, 20)
    again = _climb(model, x, goal, threat, dice.spawn("again"), 20)
    counts = [int(f.broken.sum()) for f in (few, many, wide)]
    differ = int((many.broken ^ again.broken).sum())
    size = threat.size(x, many.change)
    found += [
        SelfCheck(
            "more steps help",
            counts[1] >= counts[0] - slack,
            f"4 steps break {counts[0]} of {n} rows, 20 steps {counts[1]}",
        ),
        SelfCheck(
            "larger radius helps",
            counts[2] >= counts[1] - slack,
            f"radius x1 breaks {counts[1]} of {n} rows, x2 {counts[2]}",
        ),
        SelfCheck(
            "starts agree",
            differ <= max(2 * slack, 0.1 * n),
            f"on {differ} of {n} rows only one of two random starts succeeds",
        ),
        SelfCheck(
            "inside the threat",
            bool((size <= 1 + 1e-5).all()),
            f"largest change: {float(size.max()):.4f} radii",
        ),
    ]
    found += _unlimited(model, x, goal, threat, dice, slack)
    return found + _blind(model, x, goal, threat, dice, many.broken | again.broken, slack)


def _climb(
    model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice, steps: int, restarts: int = 1
) -> Found:
    """Gradient ascent on the smooth margin, then on the margin itself where that failed."""
    found = None
    for climb in ("soft", "margin"):
        attack = build("attack:pgd", steps=steps, restarts=restarts, climb=climb)
        found = search(attack, model, x, goal, threat, dice=dice.spawn(climb), since=found)
    if found is None:
        raise Unsupported("there is nothing to climb")
    return found


def _unlimited(
    model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice, slack: int
) -> list[SelfCheck]:
    """In a ball that holds every input, gradients must find what the other rows show exists."""
    radius, order = getattr(threat, "radius", None), getattr(threat, "order", None)
    reach = x[:1].numel() ** (1 / order) if order else 0.0  # the box [0, 1] fits into this ball
    if radius is None or not 0 < radius < reach:
        return []
    near = threat.scaled(reach / radius)
    count = int(_climb(model, x, goal, near, dice.spawn("unlimited"), 20, 2).broken.sum())
    exist = int(_others_win(model, x, goal, near).sum())
    says = f"a ball that holds every input breaks {count} of {len(x)} rows"
    if not max(count, exist):
        return [SelfCheck("radius 1 succeeds", False, f"{says}: nothing changes an answer")]
    says += f"; inputs of other rows show that at least {exist} can be broken"
    return [SelfCheck("radius 1 succeeds", count >= exist - slack, says)]


def _others_win(model: Model, x: Tensor, goal: Goal, near: Threat) -> Tensor:
    """`(B,)` bool: rows that one of a few other rows' inputs, as a change, would break."""
    with quiet(model), torch.no_grad():
        answers = logits(model(x)).argmax(1)
        one_of_each = [int((answers == k).nonzero()[0]) for k in answers.unique()]
        won = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for row in one_of_each:
            change = near.project(x, x[row : row + 1] - x)
            won |= goal(near.through(model, x, change)) >= 0
    return won


def _blind(
    model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice, broken: Tensor, slack: int
) -> list[SelfCheck]:
    """Queries without gradients must not find what gradients missed."""
    attack = build("attack:square", steps=100)
    try:
        blind = search(attack, model, x, goal, threat, dice=dice.spawn("blind"))
    except Unsupported:
        return []
    extra = int((blind.broken & ~broken).sum())
    return [
        SelfCheck(
            "queries find no more",
            extra <= slack,
            f"100 queries break {extra} of {len(x)} rows that gradients did not",
        )
    ]
