"""Vector fields: boxes and planes hold for every displacement, and smoothness certifies more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.certify import spatial
from holdfast.certify.spatial import Spatial
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.ops import bilinear
from holdfast.ops.bilinear import Moves, Planes, displaced, moves, planes
from holdfast.run.search import search
from holdfast.testing.worlds import Images, draws
from holdfast.threats.flow import Flow

ROWS = 5
SPREAD = 4000


def _corners(reach: float, order: float) -> Moves:
    """Bug: the border is looked at on the axes only, as if it had no extremes of its own."""
    axes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    return moves(reach, order) if order == torch.inf else Moves(axes * reach, 0.0, (0.0, 0.0))


def _border(reach: float, order: float) -> Moves:
    """Bug: pixels inside of the set are forgotten, although the value bends there."""
    found = moves(reach, order)
    size = torch.linalg.vector_norm(found.points, order, dim=1)
    return found._replace(points=found.points[size > 0.999 * reach])


def _swapped(x: Tensor, reach: float, order: float, fill: float, *, flat: bool) -> Planes:
    """Bug: the plane below is taken for the one above."""
    found = planes(x, reach, order, fill, flat=flat)
    return Planes(found.high, found.low, found.slope)


def _free_of_charge(c: Tensor, reach: float, order: float, smooth: float) -> Tensor:
    """Bug: all pixels move as one, whatever smoothness allows."""
    rigid: Tensor = -reach * c.sum((2, 3)).abs().sum(1)
    return rigid


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    places = {
        "corners-only": (bilinear, "moves", _corners),
        "forgets-whole-pixels": (bilinear, "moves", _border),
        "swapped-planes": (spatial, "planes", _swapped),
        "smooth-is-rigid": (spatial, "lower_on_smooth_fields", _free_of_charge),
    }
    with ExitStack() as stack:
        if mutant:
            stack.enter_context(patch.object(*places[mutant]))
        yield


def _outside(order: float, reach: float, seed: int) -> int:
    """Displaced pixels of a random image that leave their box, over many displacements."""
    g = draws(seed)
    x = torch.rand(1, 1, 6, 6, generator=g).double()
    v = 2 * torch.rand(SPREAD, 2, generator=g).double() - 1
    v = v / torch.linalg.vector_norm(v, order, dim=1, keepdim=True).clamp(min=1) * reach
    v[: SPREAD // 2] *= reach / torch.linalg.vector_norm(
        v[: SPREAD // 2], order, dim=1, keepdim=True
    )
    v[0] = 0
    right, down = (part[:, None, None].expand(-1, 6, 6) for part in v.unbind(1))
    seen = displaced(x.expand(SPREAD, -1, -1, -1), right, down)
    box = bilinear.displaced_box(x, reach, order)
    slack = 1e-12
    return int(((seen < box.low - slack) | (seen > box.high + slack)).sum())


def _exceeded(threat: Flow, world: Images, bound: Tensor) -> int:
    """Rows on which a flow that was found or drawn exceeds the bound."""
    best = search(PGD(steps=10), world.model, world.x, world.goal, threat).margin
    for seed in range(10):
        change = threat.sample(world.x, Dice.of(ROWS, seed))
        with torch.no_grad():
            best = torch.maximum(best, world.goal(threat.through(world.model, world.x, change)))
    return int((best > bound).sum())


def _undercut(seed: int) -> int:
    """Smooth fields whose value lies below the bound of a linear function of them."""
    threat, slope = Flow(pixels=0.5, smooth=0.1), torch.arange(6).double() - 2.5
    x = torch.zeros(8, 1, 6, 6).double()
    c = slope.expand(8, 2, 6, 6) + torch.randn(8, 2, 6, 6, generator=draws(seed)).double() / 2
    lower = vars(spatial)["lower_on_smooth_fields"]  # as the certifier has it
    bound = lower(c, threat.pixels, threat.order, 0.1)
    tried = [threat.project(x, -scale * c) for scale in (0.05, 0.1, 0.2, 1.0)]
    return sum(int(((c * v).sum((1, 2, 3)) < bound).sum()) for v in tried)


def trial(seed: int, mutant: str = "") -> Trial:
    """Violations of boxes and bounds (none), and what smoothness gains (something)."""
    world, means = Images.make(rows=ROWS, seed=seed), []
    with _bug(mutant):
        wrong = _undercut(seed) + sum(_outside(p, 1.4, seed) for p in (torch.inf, 2.0, 1.0))
        for threat in (Flow(pixels=0.1), Flow(pixels=0.1, smooth=0.02)):
            found = Spatial()(world.model, world.x, world.goal, threat).margin
            wrong += _exceeded(threat, world, found)
            means.append(float(found.mean()))
    return Trial(means[1], means[0], wrong == 0 and means[1] < means[0])


CLAIM = Claim(
    paper="spatial-certification",
    methods=("certifier:spatial", "threat:flow"),
    says="No displaced pixel leaves its box and no flow found exceeds its bound, and requiring "
    "flows to be smooth lowers the bounds.",
    left="mean bound of the margin, neighbours within 0.02 pixels of each other",
    right="mean bound of the margin over free flows of 0.1 pixels",
    trial=trial,
    seeds=(0, 1),
    mutants=("corners-only", "forgets-whole-pixels", "swapped-planes", "smooth-is-rigid"),
    seconds=15,
)
