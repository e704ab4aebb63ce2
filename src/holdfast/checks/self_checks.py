"""Can the result of an attack be believed? Signs that it cannot."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.checks.local import local
from holdfast.checks.signs import SelfCheck, signs
from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Untargeted, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.run.search import Found, search

__all__ = ["SelfCheck", "self_checks"]
STEPS, QUERIES = 10, 36  # of the attacks that are compared; see the budget in `self_checks`
OTHERS = 4  # rows whose inputs are tried as changes of all others


def self_checks(model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """Look at outputs and slopes, then attack: as usual, wider, without limit, and blind.

    On an honest net answers repeat, slopes exist and keep what they promise, a larger radius
    never loses rows, a ball that holds every input breaks what another row's input is seen to
    break, and queries alone do not find what gradients miss. Slack: one row or 3 % of the rows,
    whichever is more, for the chance in random starts. All this holds in a ball around each
    input; what is asked instead under other threats, `local` says.

    Cost: at most 100 forwards and 40 backwards per row, on a row that nothing breaks.

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
    threat = local(threat, x, dice)
    found = signs(model, x, goal, threat, dice.spawn("signs"))
    if not threat.none(x).is_floating_point():  # tokens: there are no slopes to be masked
        return found
    try:
        usual = _climb(model, x, goal, threat, dice.spawn("usual"))
    except Unsupported:  # no gradient reaches the change, which the signs have said
        return found
    wide = _climb(model, x, goal, threat.scaled(2.0), dice.spawn("wide"))
    few, many = int(usual.broken.sum()), int(wide.broken.sum())
    size = threat.size(x, usual.change)
    found += [
        SelfCheck(
            "larger radius helps",
            many >= few - slack,
            f"{threat.spec} breaks {few} of {n} rows, twice the radius {many}",
            "more starts",
        ),
        SelfCheck(
            "inside the threat",
            bool((size <= 1 + 1e-5).all()),
            f"largest change: {float(size.max()):.4f} radii",
            "changes projected into the threat",
        ),
    ]
    found += _unlimited(model, x, goal, threat, dice, slack)
    return found + _blind(model, x, goal, threat, dice, usual.broken, slack)


def _climb(model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice) -> Found:
    """Gradient ascent on the smooth margin for half of the steps, then on the margin itself."""
    return search(build("attack:pgd", steps=STEPS), model, x, goal, threat, dice=dice)


def _unlimited(
    model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice, slack: int
) -> list[SelfCheck]:
    """In a ball that holds every input, gradients must find what the other rows show exists."""
    radius, order = getattr(threat, "radius", None), getattr(threat, "order", None)
    width = threat.high - threat.low  # the box fits into this ball
    reach = width * x[:1].numel() ** (1 / order) if order else 0.0
    if radius is None or not 0 < radius < reach:
        return []
    near = threat.scaled(reach / radius)
    count = int(_climb(model, x, goal, near, dice.spawn("unlimited")).broken.sum())
    exist = int(_others_win(model, x, goal, near).sum())
    says = f"a ball that holds every input breaks {count} of {len(x)} rows"
    if not max(count, exist):
        says += ": nothing changes an answer"
        return [SelfCheck("radius 1 succeeds", False, says, "queries, or other slopes")]
    says += f"; inputs of other rows show that at least {exist} can be broken"
    return [
        SelfCheck("radius 1 succeeds", count >= exist - slack, says, "queries, or other slopes")
    ]


def _others_win(model: Model, x: Tensor, goal: Goal, near: Threat) -> Tensor:
    """`(B,)` bool: rows that one of a few other rows' inputs, as a change, would break."""
    with quiet(model), torch.no_grad():
        answers = logits(model(x)).argmax(1)
        one_of_each = [int((answers == k).nonzero()[0]) for k in answers.unique()[:OTHERS]]
        won = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for row in one_of_each:
            change = near.project(x, x[row : row + 1] - x)
            won |= goal(near.through(model, x, change)) >= 0
    return won


def _blind(
    model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice, broken: Tensor, slack: int
) -> list[SelfCheck]:
    """Queries without gradients must not find what gradients missed."""
    attack = build("attack:square", steps=QUERIES)
    try:
        blind = search(attack, model, x, goal, threat, dice=dice.spawn("blind"))
    except Unsupported:
        return []
    extra = int((blind.broken & ~broken).sum())
    return [
        SelfCheck(
            "queries find no more",
            extra <= slack,
            f"{QUERIES} queries break {extra} of {len(x)} rows that gradients did not",
            "queries, or differences instead of slopes",
        )
    ]
