"""The threats of an audit as its checks use them: bound to the model, and near each input."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from holdfast.checks.given import model_of
from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice
from holdfast.core.kinds import Threat
from holdfast.core.records import Subject
from holdfast.threats.ball import Additive
from holdfast.threats.bind import bind
from holdfast.threats.norms import LInf
from holdfast.threats.shared import Shared

LEAST = 1e-6  # radius below which a change of inputs counts as none


def threats(subject: Subject) -> Iterator[Threat]:
    """The threats of a subject; those that reach into the model know it.

    Raises:
        Unsupported: if there is no model, or a threat cannot reach into it.
    """
    model = model_of(subject)
    for threat in subject.threats:
        yield bind(threat, model)


def local(threat: Threat, x: Tensor, dice: Dice) -> Threat:
    """The threat within which signs of masked slopes are looked for.

    The signs are about the model, and rest on what holds in a ball around each input: a small
    step moves the output by a little and by as much as its slope says, each row can be followed
    alone, and an ascent is not worse than a few queries. Turning, moving or covering an image
    breaks all that on the most honest net, and so does one change for all rows. So a shared
    threat is taken for each row by itself, and one that is not added to inputs is replaced by a
    ball of the maximum norm that moves them as far. Threats to weights and layers are smooth as
    they are, and remain.

    Args:
        threat: of the audit, bound to its model.
        x: some rows.
        dice: of these rows.
    """
    near = resolve(threat.threat) if isinstance(threat, Shared) else threat
    if isinstance(near, Additive) or not len(x) or not x.is_floating_point():
        return near
    moved = near.apply(x, near.sample(x, dice.spawn("reach")))
    if moved.shape != x.shape:
        return near
    reach = float((moved - x).double().square().mean().sqrt())
    return LInf(radius=reach, low=near.low, high=near.high) if reach > LEAST else near
