"""The part of a proof that carries it: few neurons of the last hidden layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import Intermediate, propagate
from holdfast.certify.linear.region import region
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Operator
from holdfast.certify.reading.reader import read
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat


@dataclass(frozen=True, eq=False)
class ProofSet:
    """Intervals of the last hidden layer, what the last layer makes of them, and what suffices.

    A neuron that is not kept counts as 0: the statement of a part of the proof is about the
    network without the others, not about the network itself.

    Args:
        weights: `(B, W, d)` of each neuron in each inequality that is to be positive.
        constant: `(B, W)` added to it.
        low: `(B, d)` lower ends of the neurons.
        high: `(B, d)` upper ends.
        kept: `(B, d)` bool, neurons that suffice; all of them where nothing is proved.
    """

    weights: Tensor
    constant: Tensor
    low: Tensor
    high: Tensor
    kept: Tensor

    @property
    def worst(self) -> Tensor:
        """`(B, W, d)`: the least contribution of each neuron to each inequality."""
        w = self.weights
        return w.clamp(min=0) * self.low[:, None] + w.clamp(max=0) * self.high[:, None]

    def margin(self, kept: Tensor | None = None) -> Tensor:
        """`(B,)`: the least of all inequalities, if only some neurons are kept; above 0: proved.

        Args:
            kept: `(B, d)` bool; those of this set unless given.
        """
        chosen = self.kept if kept is None else kept
        return ((self.worst * chosen[:, None]).sum(2) + self.constant).amin(1)

    @property
    def full(self) -> Tensor:
        """`(B,)`: the margin with all neurons: the certificate by intervals."""
        return self.margin(torch.ones_like(self.kept))

    @property
    def priority(self) -> Tensor:
        """`(B, d)`: an upper bound of what leaving out a neuron can change the margin by."""
        size = torch.maximum(self.low.abs(), self.high.abs())
        return self.weights.abs().amax(1) * size

    @property
    def size(self) -> Tensor:
        """`(B,)`: how many neurons are kept."""
        return self.kept.sum(1)


def sufficient(proof: ProofSet, order: Tensor | None = None, *, thorough: bool = True) -> ProofSet:
    """The same proof with few neurons kept.

    Neurons are taken in an order, that of their priority unless given, until the margin is
    positive; then those taken, the last first, are dropped where the margin stays so. What is
    left suffices, and no single neuron of it can be left out.

    Args:
        proof: with all its intervals.
        order: `(B, d)` neurons, the most important first.
        thorough: whether to drop what is not needed any more; otherwise the set is the shortest
            prefix of the order.

    Unlike the paper: all prefixes are tried at once by cumulative sums, instead of by halving.
    """
    ranks = proof.priority.argsort(1, descending=True) if order is None else order
    count, size = ranks.shape
    sorted_ = proof.worst.gather(2, ranks[:, None].expand(proof.worst.shape))
    prefix = (sorted_.cumsum(2) + proof.constant[:, :, None]).amin(1)
    proved = proof.full > 0
    enough = torch.cat([prefix > 0, torch.ones_like(proved)[:, None]], 1)
    length = enough.int().argmax(1) + 1
    place = torch.empty_like(ranks).scatter_(1, ranks, torch.arange(size).expand(count, -1))
    kept = (place < length[:, None]) | ~proved[:, None]
    before = torch.zeros_like(kept)
    # What is dropped may have pulled the margin down, so that another one can go afterwards.
    while thorough and bool((before != kept).any()):
        before = kept
        for step in range(size - 1, -1, -1):
            without = kept.scatter(1, ranks[:, step : step + 1], False)
            drops = (proof.margin(without) > 0) & proved
            kept = torch.where(drops[:, None], without, kept)
    return replace(proof, kept=kept)


def last_layers(graph: Graph) -> int:
    """Position of the value behind which all is affine: the last hidden layer.

    Raises:
        Unsupported: if the outputs are not affine in one hidden value.
    """
    i = graph.output
    while isinstance(graph.nodes[i].operator, Operator) and len(graph.nodes[i].parents) == 1:
        i = graph.nodes[i].parents[0]
    if i == graph.output:
        raise Unsupported(
            "proof features need a model that ends in an affine layer",
            fix="Leave out what follows the last layer (softmax).",
        )
    return i


def drawn_back(graph: Graph, c: Tensor, i: int) -> tuple[Tensor, Tensor]:
    """Questions `(P, K)` about the outputs as weights `(P, d)` on value i, and constants `(P,)`."""
    constant = c.new_zeros(len(c))
    position = graph.output
    while position != i:
        node = graph.nodes[position]
        operator: Any = node.operator
        if operator.bias is not None:
            constant = constant + (c * operator.bias).flatten(1).sum(1)
        (c,) = operator.back(c)
        position = node.parents[0]
    return c.flatten(1), constant


def hidden(graph: Graph, x: Tensor, i: int) -> Tensor:
    """`(B, d)`: value i of a network, in float64, differentiable in x."""
    values = [x.double()]
    for node in graph.nodes[1 : i + 1]:
        inputs = [values[p] for p in node.parents]
        if isinstance(node.operator, Bend):
            values.append(node.operator.value(inputs))
        else:
            operator: Any = node.operator
            value = operator.linear(inputs)
            values.append(value if operator.bias is None else value + operator.bias)
    return values[i].flatten(1)


def proof_features(
    model: Model, x: Tensor, goal: Goal, threat: Threat, *, intermediate: Intermediate = "crown"
) -> ProofSet:
    """The neurons that suffice for the proof that an adversary cannot reach its goal.

    Args:
        model: in eval mode, made of the operators that can be read, with an affine last layer.
        x: `(B, ...)` inputs.
        goal: linear in the logits.
        threat: a norm ball.
        intermediate: how intervals are found: `crown`, or cheaper `ibp`.

    Raises:
        Unsupported: for an operator, goal or threat that cannot be bounded.
    """
    graph = read(model, x)
    c, constant = goal.linear(graph.nodes[graph.output].shape[0])
    return proof_of(graph, x, -c.double(), -constant.double(), threat, intermediate)


def proof_of(
    graph: Graph, x: Tensor, c: Tensor, constant: Tensor, threat: Threat, how: Intermediate
) -> ProofSet:
    """The neurons that suffice for `c z + constant > 0`, over all inputs of the threat.

    Args:
        graph: the network.
        x: `(B, ...)` inputs.
        c: `(B, W, K)`.
        constant: `(B, W)`; infinite where nothing is to be shown.
        threat: a norm ball.
        how: intervals are found.
    """
    with torch.no_grad():
        i = last_layers(graph)
        box = propagate(graph, region(threat, x.detach()), how).boxes[i].flat()
        flat, more = drawn_back(graph, c.to(x.device).flatten(0, 1), i)
        weights = flat.reshape(*c.shape[:2], -1)
        found = ProofSet(weights, constant.to(x.device) + more.reshape(c.shape[:2]),
                         box.low, box.high, torch.ones_like(box.low, dtype=torch.bool))  # fmt: skip
        return sufficient(found)
