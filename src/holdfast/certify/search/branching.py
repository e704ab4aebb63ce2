"""Which neuron of a part is split: the best of a few whose planes lose most."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.network.operators import Operator
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.sketch import chord, losses, sketched
from holdfast.certify.search.splits import Splits
from holdfast.ops.interval import TINY

# Choices, not results: any value is sound and decides in the end, only how many parts it takes
# differs. Tried on one dense network of four layers only: 185 parts, and twice as many or more with
# KEPT 1 or 4 or LESSER 0. That `influence` is asked at all does matter.
KEPT = 2  # candidates of each kind for which neurons are bounded anew, which is what costs
MORE = 12  # others tried where that is cheap: a convolutional network takes 289 parts, over 1000
# with 4 of them and over 2700 with none
# By whether neurons are bounded anew: weight of the better half (0 looks at the worse one alone, 1
# at both alike), and of what planes still lose, small, which tells apart halves of equal bounds.
LESSER, LOSS = {True: 0.2, False: 0.5}, {True: 0.02, False: 0.005}


def lost(signed: Signed, parts: Splits, seen: dict[int, Tensor]) -> list[Tensor]:
    """`(N, n)` per ReLU: what its planes lose in the worst bound; -1 where its sign is known."""
    worst = parts.bound.argmin(1)
    every = torch.arange(len(parts))
    found = []
    for i, p in signed.relus.items():
        low, high = parts.low[p], parts.high[p]
        a = seen[i][every, worst] if i in seen else torch.zeros_like(low)
        under, over = losses(low, high)
        loss = torch.where(a < 0, -a * under, a * over)
        found.append(loss.masked_fill((low >= 0) | (high <= 0), -1.0).flatten(1))
    return found


def influence(signed: Signed, parts: Splits) -> list[Tensor]:
    """`(N, n)` per ReLU: how far its looseness may travel to the outputs asked about.

    Unlike `lost`, it sees what a neuron does to the bounds of neurons behind it, which are bounded
    anew: a width added to its output is carried forward by absolute slopes, ReLUs scaling it by
    the slope of their chord, and the derivative of what arrives is multiplied with what the
    neuron's own planes leave open.
    """
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
                above = root.planes[i].take(none).above
                widths.append(
                    torch.stack([s.abs() * w for s, w in zip(above, inputs, strict=True)]).sum(0)
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


def candidates(scores: list[Tensor]) -> Tensor:
    """`(N, C)`: the neuron of the largest score of each ReLU, and the largest of all others."""
    own = each(scores)
    rest = torch.cat(scores, 1).scatter(1, own, -1.0)
    value, index = rest.topk(min(MORE, rest.shape[1]), dim=1)
    return torch.cat([own, torch.where(value < 0, own[:, :1], index)], 1)


def best_of(value: Tensor, keep: int, lesser: float) -> Tensor:
    """`(N, keep)` positions of the best of candidates, from values `(2, N, C)` of their halves.

    A candidate is good where its worse half is good, and with some weight the better one.
    """
    every = value.amin(0) + lesser * value.amax(0)
    return every.topk(min(keep, every.shape[1]), dim=1).indices


def anew(signed: Signed, parts: Splits, index: Tensor) -> tuple[Splits, Tensor]:
    """The halves of each part by the best of its candidates `(N, C)`, and which it was `(N,)`.

    The neurons behind each candidate are bounded anew, and its halves once.
    """
    count, tries = index.shape
    rows = torch.arange(count).repeat_interleave(tries)
    halves = halves_of(signed, parts.take(rows), index.flatten())
    both, empty = signed.renewed(halves, index.flatten().repeat(2))
    both.bound.masked_fill_(empty[:, None], torch.inf)
    value = both.bound.clamp(max=0).sum(1)
    if bool(both.open.any()):
        seen = signed.once(both)
        # Where no neuron moves the bounds at once, the one that leaves least to lose.
        left = torch.stack([v.clamp(min=0).sum(1) for v in lost(signed, both, seen)]).sum(0)
        value = both.bound.clamp(max=0).sum(1) - LOSS[True] * left
    best = best_of(value.reshape(2, count, tries), 1, LESSER[True])
    chosen = torch.arange(count) * tries + best[:, 0]
    return both.take(torch.cat([chosen, chosen + count * tries])), index.gather(1, best)[:, 0]


def divided(signed: Signed, parts: Splits) -> tuple[Splits, Tensor]:
    """Both halves of each part, by the best of a few neurons whose signs are open.

    Of each ReLU the neuron that loses most in the worst bound is tried, and others that lose much.
    Where parts bound their neurons anew, one of each ReLU is tried, and neurons are bounded anew
    for the best of these and for those of most influence only.

    Returns:
        The halves `(2 N)`, bounded once, first all in which the neuron is not positive, their
        bounds infinite where nothing lies in one; `(N,)` the neurons.
    """
    scores = lost(signed, parts, signed.once(parts))
    index = each(scores) if signed.renew else candidates(scores)
    asked, keep = (signed.unsafe.count, KEPT) if signed.renew else (1, 1)
    value = sketched(signed, parts, index, asked, LOSS[signed.renew])
    index = index.gather(1, best_of(value, keep, LESSER[signed.renew]))
    if signed.renew:
        return anew(signed, parts, torch.cat([index, largest(influence(signed, parts), KEPT)], 1))
    halves = halves_of(signed, parts, index[:, 0])
    if bool(halves.open.any()):
        signed.once(halves)
    return halves, index[:, 0]


def halves_of(signed: Signed, parts: Splits, index: Tensor) -> Splits:
    """`(2 N)`: each part with a neuron (counted over all ReLUs) not positive, then not negative."""
    both, count, start = Splits.join([parts, parts]), len(parts), 0
    both.age.add_(1)
    both.depth.add_(1)
    for p in signed.relus.values():
        shape = both.signs[p].shape
        # Clones, as flattening alone may give a view or not.
        signs, low, high = (v[p].flatten(1).clone() for v in (both.signs, both.low, both.high))
        place = index - start
        rows = ((place >= 0) & (place < signs.shape[1])).nonzero().flatten()
        place, start = place[rows], start + signs.shape[1]
        signs[rows, place], high[rows, place] = -1, 0.0
        signs[rows + count, place], low[rows + count, place] = 1, 0.0
        both.signs[p], both.low[p], both.high[p] = (v.reshape(shape) for v in (signs, low, high))
    return both
