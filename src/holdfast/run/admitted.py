"""What inputs a search takes, and what it says of those that it takes with a doubt."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import modules_of

_SLACK = 1e-3  # of the range, by which inputs may lie outside it without a word


def admitted(x: Tensor, threat: Threat) -> None:
    """Refuse inputs that are no numbers; warn of those that lie outside the threat's range.

    Such inputs may stay where they are but go no further, so that attacks of images in bytes, or
    of images that were normalised before, find next to nothing. Threats that do not change the
    inputs have no range.

    Args:
        x: `(B, ...)` inputs.
        threat: the admissible changes.

    Raises:
        ShapeError: for NaN or infinity.
    """
    if not x.is_floating_point() or not x.numel():
        return
    if not bool(x.isfinite().all()):
        raise ShapeError(
            "inputs hold NaN or infinity", fix="Leave such rows out, or fill in what is missing."
        )
    if type(threat).through is not Threat.through:
        return
    low, high, slack = float(x.min()), float(x.max()), _SLACK * (threat.high - threat.low)
    if low < threat.low - slack or high > threat.high + slack:
        warnings.warn(
            f"inputs lie in [{low:.3g}, {high:.3g}] and {threat.spec} assumes"
            f" [{threat.low:g}, {threat.high:g}]: robustness may be far overstated;"
            " scale the inputs, or give the threat their low and high",
            stacklevel=4,
        )


@contextmanager
def taken(model: Model, x: Tensor) -> Iterator[None]:
    """Say in our words what torch says where a model does not take its inputs.

    Args:
        model: called within the block, for the first time.
        x: its inputs.

    Raises:
        ShapeError: in place of an error of torch, but for those of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ShapeError(
            f"the model does not take inputs {tuple(x.shape)} of {x.dtype}: {error}",
            fix=advice(model, x),
        ) from error


def advice(model: Model, x: Tensor) -> str:
    """What to do where a model does not take inputs: their types or their forms differ."""
    weights = {p.dtype for top in modules_of(model) for p in top.parameters()}
    kinds = [k for k in weights if k.is_floating_point and x.is_floating_point() and k != x.dtype]
    if len(kinds) == 1:
        return f"Its weights are {kinds[0]} and the inputs {x.dtype}: give both the same type."
    return "Check that model and data belong together."
