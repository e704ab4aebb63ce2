"""Which neuron of a part is split: the best of a few whose planes lose most."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.ops.interval import TINY

KEPT = 2  # candidates of each kind for which neurons are bounded anew
LESSER = 0.2  # weight of the better half in the choice
LOSS = 0.02  # weight of what planes lose against what the bounds are


def lost(signed: Signed, parts: Splits, seen: dict[int, Tensor]) -> list[Tensor]:
    """`(N, n)` per ReLU: what its planes lose in the worst bound; -1 where its sign is known."""
    worst = parts.bound.argmin(1)
    every = torch.arange(len(parts))
    found = []
    for i, p in signed.relus.items():
        low, high = parts.low[p], parts.high[p]
        a = seen[i][every, worst] if i in seen else torch.zeros_like(low)
        small = torch.minimum(high, -low) / 4
        loss = torch.where(a < 0, -a * chord(low, high), a * small)
        found.append(loss.masked_fill((low >= 0) | (high <= 0), -1.0).flatten(1))
    return found


def chord(low: Tensor, high: Tensor) -> Tensor:
    """How far the plane above a ReLU lies above zero at zero."""
    return -low * high / (high - low).clamp(min=TINY)


def influence(signed: Signed, parts: Splits) -> list[Tensor]:
    """`(N, n)` per ReLU: how far its looseness may travel to the outputs asked about."""
    graph, root = signed.graph, signed.root
    count = len(parts)
    none = torch.zeros(count, dtype=torch.long)
    with torch.enable_grad():
        widths: list[Tensor] = []
        extra: dict[int, Tensor] = {}
        for i, node in enumerate(graph.nodes):
            inputs = [widths[p] for p in node.parents]
            if i in signed.relus:
                p = signed.relus[i]
                low, high = parts.low[p], parts.high[p]
                share = high.clamp(min=0) / (high.clamp(min=0) - low.clamp(max=0)).clamp(min=TINY)
                extra[i] = torch.zeros_like(low, requires_grad=True)
                widths.append(inputs[0] * share + extra[i])
            elif isinstance(node.operator, Operator):
                widths.append(node.operator.spread(inputs))
            elif not inputs:
                widths.append(torch.zeros(count, *node.shape, dtype=torch.float64))
            else:
                planes = root.planes[i].take(none)
                widths.append(
                    sum(
                        (s.abs() * w for s, w in zip(planes.above, inputs, strict=True)),
                        torch.zeros(()),
                    )
                )
        weight = signed.unsafe.c.abs().sum(0).reshape(graph.nodes[graph.output].shape)
        total = (widths[graph.output] * weight).sum()
        slopes = torch.autograd.grad(total, list(extra.values()), allow_unused=True)
    found = []
    for p, slope in zip(signed.relus.values(), slopes, strict=True):
        low, high = parts.low[p], parts.high[p]
        score = chord(low, high) * (1.0 if slope is None else slope)
        found.append(score.masked_fill((low >= 0) | (high <= 0), -1.0).flatten(1))
    return found


def largest(scores: list[Tensor], count: int) -> Tensor:
    """`(N, count)` neurons of the largest scores `(N, n)`, counted over all ReLUs."""
    every = torch.cat(scores, 1)
    value, index = every.topk(min(count, every.shape[1]), dim=1)
    return torch.where(value < 0, index[:, :1], index)


def each(scores: list[Tensor]) -> Tensor:
    """`(N, C)`: of each ReLU the neuron of the largest score, or the best of all."""
    start, found, values = 0, [], []
    for score in scores:
        value, index = score.max(1)
        found.append(index + start)
        values.append(value)
        start += score.shape[1]
    return torch.where(torch.stack(values, 1) < 0, largest(scores, 1), torch.stack(found, 1))


def best_of(signed: Signed, parts: Splits, index: Tensor, keep: int) -> tuple[Splits, Tensor]:
    """The halves of each part by the best of its candidates `(N, C)`, and `(N, keep)` the best."""
    count, tries = index.shape
    rows = torch.arange(count).repeat_interleave(tries)
    both, empty = signed.renewed(Splits.join(half_of(signed, parts.take(rows), index.flatten())))
    both.bound.masked_fill_(empty[:, None], torch.inf)
    value = both.bound.clamp(max=0).sum(1)
    if bool(both.open.any()):
        seen = signed.once(both)
        # Where no neuron moves the bounds at once, the one that leaves least to lose.
        left = torch.stack([v.clamp(min=0).sum(1) for v in lost(signed, both, seen)]).sum(0)
        value = both.bound.clamp(max=0).sum(1) - LOSS * left
    value = value.reshape(2, count, tries)
    order = (value.amin(0) + LESSER * value.amax(0)).topk(min(keep, tries), dim=1).indices
    chosen = torch.arange(count) * tries + order[:, 0]
    return both.take(torch.cat([chosen, chosen + count * tries])), index.gather(1, order)


def divided(signed: Signed, parts: Splits) -> tuple[Splits, Tensor]:
    """Both halves of each part, by the best of a few neurons whose signs are open.

    Of each ReLU the neuron that loses most in the worst bound is tried. Where parts bound their
    neurons anew, that is done for the best of these and for those of most influence only.

    Returns:
        The halves `(2 N)`, first all in which the neuron is not positive, their bounds infinite
        where nothing lies in one; `(N,)` the neurons.
    """
    index = each(lost(signed, parts, signed.once(parts)))
    if signed.renew:
        _, few = best_of(signed.fixed, parts, index, KEPT)
        index = torch.cat([few, largest(influence(signed, parts), KEPT)], 1)
    halves, index = best_of(signed, parts, index, 1)
    return halves, index[:, 0]


def half_of(signed: Signed, parts: Splits, index: Tensor) -> tuple[Splits, Splits]:
    """Each part with the neuron `index` (counted over all ReLUs) not positive, not negative."""
    found = []
    for sign in (-1, 1):
        start = 0
        signs, low, high = {}, {}, {}
        for p in signed.relus.values():
            flat = parts.signs[p].flatten(1).clone()
            own = ((index >= start) & (index < start + flat.shape[1])).nonzero().flatten()
            ends = [parts.low[p].flatten(1).clone(), parts.high[p].flatten(1).clone()]
            at = (own, index[own] - start)
            flat[at] = sign
            ends[0 if sign > 0 else 1][at] = 0.0
            start += flat.shape[1]
            shape = parts.signs[p].shape
            signs[p] = flat.reshape(shape)
            low[p], high[p] = (end.reshape(shape) for end in ends)
        new = parts.take(slice(None))
        found.append(replace(new, signs=signs, low=low, high=high, bound=parts.bound.clone()))
    return found[0], found[1]
