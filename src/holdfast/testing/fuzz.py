"""Points against bounds: no output of a probe may leave what any method proves about it.

`python -m holdfast.testing.fuzz --points 1000000` tries a million of them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Bend, Choice, Planes
from holdfast.certify.reading.reader import read
from holdfast.ops.interval import Box
from holdfast.testing.probes import PROBES, ProbeNet

METHODS = ("ibp", "crown", "choices")
RADII = (0.0, 1e-6, 1e-3, 0.02, 0.05, 0.2, 1.0)
ROWS = 2


@dataclass(frozen=True)
class Trial:
    """What one network, one radius and some points showed.

    Args:
        points: evaluated.
        outside: points that left the bounds, per method.
        width: mean width of the bounds per method; infinite where nothing is proved.
        spread: mean width of what the points reached.
    """

    points: int
    outside: Mapping[str, int]
    width: Mapping[str, float]
    spread: float


def chosen(bounds: Bounds, g: torch.Generator) -> dict[int, Planes]:
    """Planes of all bends at random choices, some of them at the ends."""
    found = {}
    for i, node in enumerate(bounds.graph.nodes):
        if isinstance(node.operator, Bend):
            boxes = [bounds.boxes[p] for p in node.parents]
            shape = boxes[0].low.shape
            draws = [1.4 * torch.rand(shape, generator=g, dtype=torch.float64) - 0.2
                     for _ in range(2)]  # fmt: skip
            found[i] = node.operator.planes(boxes, Choice(*(d.clamp(0, 1) for d in draws)))
    return found


def ends(bounds: Bounds, planes: Mapping[int, Planes] | None, relax: bool) -> Box:
    """Bounds of all outputs `(B, K)`; infinite where nothing is known."""
    graph, rows = bounds.graph, len(bounds.region.centre)
    (count,) = graph.nodes[graph.output].shape
    eye = torch.eye(count, dtype=torch.float64).expand(rows, count, count)
    line = backward(bounds, graph.output, torch.cat([eye, -eye], 1), relax=relax, planes=planes)
    low = bounds.region.lower(line.slope.flatten(2)) + line.offset - line.slack
    low = low - 1e-15 * (low.abs() + line.offset.abs())
    low = torch.where(low.isfinite() & ~bounds.overflow[:, None], low, -torch.inf)
    return Box(low[:, :count], -low[:, count:])


def inputs(x: Tensor, radius: float, points: int, g: torch.Generator) -> tuple[Box, Tensor]:
    """A box around inputs, and points of it: the centre, corners, edges and the inside."""
    low, high = x - radius, x + radius
    share = torch.rand(points, *x.shape, generator=g).to(x.dtype)
    kind = torch.arange(points).reshape(-1, *[1] * x.dim()) % 3
    share = torch.where(kind == 0, share.round(), share)
    share = torch.where((kind == 1) & (torch.rand(share.shape, generator=g) < 0.7),
                        share.round(), share)  # fmt: skip
    inside = torch.minimum(torch.maximum(low + share * (high - low), low), high)
    inside[0] = x
    return Box(low.double(), high.double()), inside


def trial(
    name: str, seed: int, *, radius: float = 0.05, points: int = 1000,
    dtype: torch.dtype = torch.float64,
) -> Trial:  # fmt: skip
    """Bounds of one probe by each method, and points that may contradict them.

    Args:
        name: of the probe.
        seed: of weights, inputs, points and choices.
        radius: half width of the box of inputs.
        points: in the box of each of two inputs.
        dtype: of the network.
    """
    net, g = ProbeNet(name, seed, dtype), torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, *net.shape, generator=g).to(dtype)
    box, inside = inputs(x, radius, points, g)
    with torch.no_grad():
        z = net(inside.flatten(0, 1)).double().unflatten(0, (points, ROWS))
        graph, region = (
            read(net, x, [box.low.to(dtype), box.high.to(dtype)]),
            Region(box, x.double()),
        )
        coarse, fine = propagate(graph, region, "ibp"), propagate(graph, region, "crown")
        found = {
            "ibp": ends(coarse, None, False), "crown": ends(fine, None, True),
            "choices": ends(fine, chosen(fine, g), True),
        }  # fmt: skip
    outside = {m: int((~((z >= b.low) & (z <= b.high)) & (b.low > -torch.inf)).any(2).sum())
               for m, b in found.items()}  # fmt: skip
    width = {m: float((b.high - b.low).mean()) for m, b in found.items()}
    return Trial(points * ROWS, outside, width, float((z.amax(0) - z.amin(0)).mean()))


def main() -> int:
    """Try probes, radii and types in turn until the points are used up; 1 if one got outside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    left, seed, wrong = asked.points, asked.seed, Counter[str]()
    while left > 0:
        name = list(PROBES)[seed % len(PROBES)]
        radius = RADII[(seed // len(PROBES) + seed) % len(RADII)]
        dtype = (torch.float64, torch.float32)[seed // len(PROBES) % 2]
        found = trial(name, seed, radius=radius, dtype=dtype)
        for method, count in found.outside.items():
            if count:
                wrong[f"{name}, {method}, seed {seed}, radius {radius}, {dtype}"] += count
        left, seed = left - found.points, seed + 1
    for what, count in wrong.items():
        sys.stdout.write(f"{count} points outside of the bounds of {what}\n")
    sys.stdout.write(f"{asked.points} points, {sum(wrong.values())} outside\n")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
