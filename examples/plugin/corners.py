"""A plugin in one file. See it: holdfast show attack:corners --plugin corners.py."""

from holdfast.attacks.active import Active
from holdfast.attacks.ascent import ascent
from holdfast.core.catalog import register
from holdfast.core.fields import Count, settings
from holdfast.core.kinds import Access, Attack


@register("attack")
@settings
class Corners(Attack):
    """Steps of a whole radius: on a linear model the first one is the worst change.

    Args:
        steps: how often it goes on from where it is.
    """

    access = Access.GRADIENT
    steps: Count = 3

    def __call__(self, model, x, goal, threat, *, dice=None):
        active = Active(model, x, goal, threat, dice)
        ascent(active, threat.none(x), lambda *_: lambda g, z: g(z), [1.0] * self.steps)
        return active.best
