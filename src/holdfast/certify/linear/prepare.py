"""What both kinds of linear bounds start from: the graph, the region and the question."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.certify.linear.region import Region, region
from holdfast.certify.network.graph import Graph
from holdfast.certify.reading.reader import read
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat


class Question(NamedTuple):
    """Bound `c z + constant` from above for every input of the region.

    Args:
        graph: inputs to logits z.
        region: of inputs.
        c: `(B, W, K)` float64.
        constant: `(B, W)` float64.
    """

    graph: Graph
    region: Region
    c: Tensor
    constant: Tensor


def prepare(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Question | None:
    """Read the model and put the question; None for an empty batch.

    Raises:
        Unsupported: for an operator, goal or threat that cannot be bounded.
        ShapeError: if the inputs are no floating point tensor.
    """
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
        raise ShapeError(
            "linear bounds need inputs as one floating point tensor", fix="Pass x.float()."
        )
    space = region(threat, x.detach())
    graph = read(model, x.detach(), [space.box.low.to(x.dtype), space.box.high.to(x.dtype)])
    classes = graph.nodes[graph.output].shape[0]
    c, constant = goal.linear(classes)
    if not len(x):
        return None
    with torch.no_grad():
        return Question(graph, space, c.to(x.device).double(), constant.to(x.device).double())
