"""The search for inputs that reach an unsafe set: samples, steps downhill, linear programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf

import torch
from torch import Tensor

from holdfast.certify.search.crowd import FEW, crowd
from holdfast.certify.search.polish import polish
from holdfast.certify.search.tried import Network, Tried, probe
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.batch import chunks, fit, pick
from holdfast.ops.interval import Box

WIDE, NARROW = 0.5, 0.002  # first and last step, in half widths of the box
POLISHED, STEPS, ROWS = 5, 12, 256  # candidates, their linear programs, rows of one at most


def descend(
    network: Network, unsafe: Unsafe, x: Tensor, box: Box, target: Tensor, steps: int,
    deadline: float = inf,
) -> Tried:  # fmt: skip
    """Signed gradient steps with shrinking lengths towards alternatives, each within its box.

    Every second row goes down the sum of what its alternative has violated, the others down the
    largest violation: the sum sees all inequalities, the largest is what has to vanish. It stops
    as soon as a row has reached the unsafe set.

    Args:
        network: inputs -> outputs `(B, K)`.
        unsafe: what to reach.
        x: `(B, ...)` where to start.
        box: broadcast against them, of their type.
        target: `(B,)` the alternative that each heads for.
        steps: how many.
        deadline: of `time.monotonic()`, after which no further step is taken.

    Returns:
        Of each row the best point on its way, whichever alternative it came nearest to.

    Cost: `steps + 1` forward and `steps` backward passes.
    """
    half, target = (box.high - box.low) / 2, target[:, None]
    odd = torch.arange(len(x)) % 2 == 1
    best = Tried(x, torch.full((len(x), unsafe.count), inf, dtype=torch.float64))
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            z = network(x)
            values = unsafe.values(z)
            total = unsafe.violated(values).gather(1, target)[:, 0]
            largest = unsafe.best(values).gather(1, target)[:, 0]
            lowered = torch.where(odd & (total > 0), total, largest).nan_to_num(0.0).sum()
        margins = unsafe.margin(z.detach())
        better = margins.amin(1) < best.margins.amin(1)
        best = Tried(pick(better, x.detach(), best.x), pick(better, margins, best.margins))
        if step == steps or bool((margins <= 0).any()) or time.monotonic() > deadline:
            break
        try:
            (slope,) = torch.autograd.grad(lowered, x)
        except RuntimeError:  # an operation without a gradient: points are all there is
            break
        length = WIDE * (NARROW / WIDE) ** (step / max(1, steps - 1))
        x = torch.clamp(x.detach() - length * half * slope.sign(), box.low, box.high)
    return best


def seek(
    network: Network, unsafe: Unsafe, box: Box, draws: torch.Generator, *,
    samples: int, at_once: int, starts: int, steps: int, rounds: int = 1, deadline: float = inf,
) -> Iterator[Tried]:  # fmt: skip
    """Search a box: random points first, then descents from the best of them, then from others.

    Where inputs are few, points are drawn around the best ones before the first descent.

    Where an alternative has several rows, the ends of descents that came nearest are polished by
    linear programs: where rows pull in different directions, a descent goes to and fro.

    Args:
        network: inputs -> outputs `(B, K)`.
        unsafe: what to reach.
        box: of one row, in the type of the inputs.
        draws: of the points.
        samples: how many points; the centre is one of them, some are corners. They take half of
            the time at most.
        at_once: how many of them.
        starts: descents at once.
        steps: of each.
        rounds: of descents, the first from the best points, the others from new ones.
        deadline: of `time.monotonic()`.

    Yields:
        What was tried, batch by batch. Margins are in units of about the length of their rows;
        their signs are those of `unsafe`.
    """
    unsafe, now = unsafe.levelled(), time.monotonic()
    pool = Tried(box.low[:0].reshape(0, *box.low.shape), torch.empty(0, unsafe.count).double())
    for rows in chunks(samples, at_once):
        tried = probe(network, unsafe, _points(box, rows.stop - rows.start, draws))
        yield tried
        pool = Tried(torch.cat([pool.x, tried.x]), torch.cat([pool.margins, tried.margins]))
        kept = pool.nearest(starts)[0].unique()
        pool = Tried(pool.x[kept], pool.margins[kept])
        if time.monotonic() > now + (deadline - now) / 2:
            break
    if box.low.numel() <= FEW:
        yield from crowd(network, unsafe, pool, box, draws, deadline)
    kept, target = pool.nearest(starts)
    x = pool.x[kept]
    for number in range(1, rounds + 1):
        if time.monotonic() > deadline:
            return
        found = descend(network, unsafe, x, box, target, steps, deadline)
        yield found
        yield from polished(network, unsafe, found, box, deadline)
        x = _points(box, starts, draws)
        target = (torch.arange(starts) + number * starts) % unsafe.count


def polished(
    network: Network, unsafe: Unsafe, found: Tried, box: Box, deadline: float = inf,
    most: int = POLISHED,
) -> Iterator[Tried]:  # fmt: skip
    """What linear programs make of the best inputs, one alternative after the other.

    Args:
        network, unsafe, box, deadline: as of `seek`.
        found: where to start.
        most: of them are taken; those that head for an alternative of one row are left out.
    """
    margins, target = found.margins.min(1)
    best = margins.topk(min(most, len(margins)), largest=False).indices
    for way in target[best].unique().tolist():
        rows = unsafe.rows(way)
        if not 1 < len(rows) <= ROWS:
            continue

        def values(x: Tensor, rows: Tensor = rows) -> Tensor:
            return unsafe.values(network(x))[:, rows]

        try:
            x = polish(values, found.x[best[target[best] == way]], box, STEPS, deadline)
        except RuntimeError:  # an operation without a gradient
            return
        yield probe(network, unsafe, x)


def _points(box: Box, count: int, draws: torch.Generator) -> Tensor:
    """The centre, corners and random points of a box."""
    share = torch.rand(count, *box.low.shape, generator=draws, dtype=box.low.dtype)
    corner = torch.arange(count) < count // 4
    share = torch.where(fit(corner, share), share.round(), share)
    share[0] = 0.5
    return torch.clamp(box.low + share * (box.high - box.low), box.low, box.high)
