"""Where threats are tried: images, a bound model, and what a law needs to compare."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.kinds import Threat
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import Images, Tokens
from holdfast.threats.bind import bind

ROWS = 6
KEYS = torch.tensor([11, 5, 3, 42, 0, 7])


def bound_world(
    threat: Threat, dtype: torch.dtype = torch.float64
) -> tuple[Threat, Images | Tokens, Dice]:
    """Images of this type, the threat bound to the model that sees them, and dice.

    Threats whose changes are whole numbers get token ids and a model of this type.
    """
    dice = Dice(3, KEYS)
    if is_discrete(threat):
        ids = Tokens.make(rows=ROWS, vocabulary=int(threat.high) + 1)
        return threat, Tokens(ids.model.to(dtype), ids.x, ids.y), dice
    made = Images.make(rows=ROWS)
    world = Images(made.model.to(dtype), made.x.to(dtype), made.y)
    return bind(threat, world.model), world, dice


def wild(threat: Threat, x: Tensor, scale: float = 3.0) -> Tensor:
    """Changes far outside of most threats."""
    like = threat.none(x)
    return scale * Dice(1, KEYS[: len(x)]).normal(like.shape[1:], dtype=like.dtype)


def must_fit(threat: Threat, x: Tensor, change: Tensor, who: str) -> None:
    """Raise where a change is not admissible."""
    size = threat.size(x, change)
    if size.shape != (len(x),):
        raise LawBroken(f"{threat.spec}: size has the shape {tuple(size.shape)}, not (B,)")
    if not bool((size <= 1 + 1e-5).all()):
        raise LawBroken(f"{threat.spec}: {who} has size {float(size.max())}, more than 1")


def alike(a: Tensor, b: Tensor, says: str, tolerance: float = 1e-9) -> None:
    """Raise where two tensors differ in shape, type or value."""
    if a.shape != b.shape or a.dtype != b.dtype:
        raise LawBroken(f"{says}: {tuple(a.shape)} {a.dtype} against {tuple(b.shape)} {b.dtype}")
    if not torch.allclose(a, b, rtol=tolerance, atol=tolerance):
        raise LawBroken(f"{says}, by {float((a - b).abs().max()):.2g}")


def is_coupled(threat: Threat) -> bool:
    """Whether one change serves all rows."""
    return bool(getattr(threat, "coupled", False))


def is_discrete(threat: Threat) -> bool:
    """Whether changes are whole numbers: no directions, no gradient, a type of their own."""
    return bool(getattr(threat, "discrete", False))
