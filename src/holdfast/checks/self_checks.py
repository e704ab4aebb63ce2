"""Can the result of a gradient attack be believed? Six signs that it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.run.search import Found, search


@dataclass(frozen=True)
class SelfCheck:
    """One sign.

    Args:
        name: in two or three words.
        passed: whether gradients look honest.
        says: what was seen, with the numbers.
    """

    name: str
    passed: bool
    says: str


def self_checks(model: Model, x: Tensor, y: Tensor, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """Try an attack with fewer and more steps, wider, blind and from elsewhere.

    On an honest net more steps and a larger radius never lose rows, an unlimited radius breaks
    (nearly) everything, and queries alone do not find what gradients miss. Slack: one row or
    3 % of the rows, whichever is more, for the chance in random starts.

    Cost: about 130 forwards and 70 backwards per row that stays unbroken.
    """
    goal, slack = Untargeted(y), max(1, round(0.03 * len(x)))

    def run(attack: Attack, where: Threat = threat, stream: str = "a") -> Found:
        return search(attack, model, x, goal, where, dice=dice.spawn(stream))

    try:
        few = run(build("attack:pgd", steps=4))
        many = run(build("attack:pgd", steps=20))
    except Unsupported as refused:
        return [SelfCheck("gradients exist", False, f"no gradients to attack with: {refused.says}")]
    wide = run(build("attack:pgd", steps=20), threat.scaled(2.0))
    again = run(build("attack:pgd", steps=20), threat, "b")
    count = {
        name: int(f.broken.sum())
        for name, f in {"few": few, "many": many, "wide": wide, "again": again}.items()
    }
    n = len(x)
    found = [
        SelfCheck(
            "more steps help",
            count["many"] >= count["few"] - slack,
            f"4 steps break {count['few']} of {n} rows, 20 steps {count['many']}",
        ),
        SelfCheck(
            "larger radius helps",
            count["wide"] >= count["many"] - slack,
            f"radius x1 breaks {count['many']} of {n} rows, x2 {count['wide']}",
        ),
        SelfCheck(
            "restarts agree",
            abs(count["many"] - count["again"]) <= 2 * slack,
            f"two random starts break {count['many']} and {count['again']} of {n} rows",
        ),
        SelfCheck(
            "inside the threat",
            bool((threat.size(x, many.change) <= 1 + 1e-5).all()),
            f"largest change: {float(threat.size(x, many.change).max()) if n else 0:.4f} radii",
        ),
    ]
    found += _unlimited(model, x, goal, threat, dice, slack)
    return found + _blind(model, x, goal, threat, dice, many, slack)


def _unlimited(
    model: Model, x: Tensor, goal: Untargeted, threat: Threat, dice: Dice, slack: int
) -> list[SelfCheck]:
    """With radius 1 every input is admissible, so a non-constant model must break."""
    radius = getattr(threat, "radius", None)
    if radius is None or not 0 < radius < 1:
        return []
    attack = build("attack:pgd", steps=40)
    found = search(attack, model, x, goal, threat.scaled(1 / radius), dice=dice.spawn("unlimited"))
    count, n = int(found.broken.sum()), len(x)
    return [
        SelfCheck("radius 1 succeeds", count >= n - slack, f"radius 1 breaks {count} of {n} rows")
    ]


def _blind(
    model: Model, x: Tensor, goal: Untargeted, threat: Threat, dice: Dice, many: Found, slack: int
) -> list[SelfCheck]:
    """Queries without gradients must not find what gradients missed."""
    try:
        blind = search(
            build("attack:square", steps=100), model, x, goal, threat, dice=dice.spawn("blind")
        )
    except Unsupported:
        return []
    extra = int((blind.broken & ~many.broken).sum())
    return [
        SelfCheck(
            "queries find no more",
            extra <= slack,
            f"100 queries break {extra} of {len(x)} rows that gradients did not",
        )
    ]
