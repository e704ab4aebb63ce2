"""Steps along the gradient while they pay, direct search where they do not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import Climb, slopes
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Natural, Positive, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import fit, pick

GAIN = 1e-4  # least gain of a success, times the square of the step in radii
LONGEST = 2.0  # step in radii: from one end of a ball to the other


@dataclass
class _Search:
    """What belongs to each active row."""

    change: Tensor
    height: Tensor  # (A,) margin at `change`
    slope: Tensor  # gradient at `change`, where it is known
    known: Tensor  # (A,) bool
    stride: Tensor  # (A,) radii, of steps along the gradient
    mesh: Tensor  # (A,) radii, of direct search
    poll: Tensor  # (A,) number of the next poll point, -1 while the gradient is followed
    mirror: Tensor  # (A, n) unit vectors: columns of 1 - 2 v v' are the directions of a poll
    seen: Tensor  # (A, T, n) changes evaluated, where covering wants them

    def keep(self, stay: Tensor) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[stay])


@register(
    "attack",
    cites="directional-attack-opt",
    name="directional",
    says="Gradient steps of a self-set length, and direct search where they fail.",
)
@settings
class Directional(Attack):
    """Climbs the margin by attack steps, and polls all around wherever they stop helping.

    A row steps along the threat's steepest direction; a success doubles the step, a failure
    halves it and starts a poll: the columns of a random orthonormal basis and their opposites
    are tried until one helps, which doubles the mesh; if none does it is halved. Properties: one
    evaluation per row and step; the margin never falls; where the gradient says nothing, or
    wrong things, direct search still climbs; decisions and draws are per row.

    Args:
        steps: evaluations per row.
        stride: first step along the gradient in radii.
        mesh: first step of direct search in radii.
        least: smallest stride and mesh; a row whose both are below starts again from the first.
        cover: points drawn after a poll that failed, of which the one furthest from all seen is
            tried; 0 for none. It needs the memory of all steps.
        gradient: follow the gradient at all; otherwise it is direct search alone.
        climb: what the gradient climbs, as in `attack:pgd`.

    Cost: `steps + 1` forwards per unbroken row, and a forward and a backward more for each new
    point at which a gradient is wanted.

    Unlike the paper: the two searches take turns at every failure; rows search side by side; a
    basis is a random reflection of the axes; the covering point is the best of a few drawn; a
    model without gradients is searched directly (`gradient=False`), not by differences.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 200
    stride: Positive = 0.5
    mesh: Positive = 0.5
    least: Positive = 1e-6
    cover: Natural = 0
    gradient: bool = True
    climb: Climb = "soft"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        state = self._begin(active)
        for _ in range(self.steps):
            if not len(active):
                break
            self._step(active, state)
        return active.best

    def _begin(self, active: Active) -> _Search:
        change = active.threat.none(active.x).detach()
        height = active.margins(change) if len(active) else change.new_zeros(0)
        ones = torch.ones_like(height)
        start = torch.full_like(height, -1.0 if self.gradient else 0.0).long()
        state = _Search(
            change, height, torch.zeros_like(change), ones < 0, self.stride * ones,
            self.mesh * ones, start, torch.zeros_like(change.flatten(1)),
            change.flatten(1)[:, None],
        )  # fmt: skip
        stay = active.see(change, height) if len(active) else None
        if stay is not None:
            state.keep(stay)
        return state

    def _step(self, active: Active, state: _Search) -> None:
        """One evaluation of every row, and what follows from it."""
        follows = state.poll < 0
        if self.gradient:
            self._look(active, state, follows & ~state.known)
        point = self._point(active, state, follows)
        reached = active.margins(point)
        size = torch.where(follows, state.stride, state.mesh)
        better = reached > state.height + GAIN * size.square() * reached.abs().clamp(max=1)
        self._adapt(state, follows, better)
        state.change = pick(better, point, state.change)
        state.height = torch.where(better, reached, state.height)
        state.known = state.known & ~better
        if self.cover:
            state.seen = torch.cat([state.seen, point.flatten(1)[:, None]], 1)
        stay = active.see(point, reached)
        if stay is not None:
            state.keep(stay)

    def _look(self, active: Active, state: _Search, which: Tensor) -> None:
        """Gradients of the rows that need one."""
        at = which.nonzero().flatten()
        if not len(at):
            return
        goal, threat = active.goal.take(at), active.threat.take(at)
        _, slope, _ = slopes(
            active.model, active.x[at], goal, threat, state.change[at], climb=self.climb
        )
        state.slope[at] = slope
        state.known[at] = True

    def _point(self, active: Active, state: _Search, follows: Tensor) -> Tensor:
        """What each row tries next."""
        x, threat, flat = active.x, active.threat, state.change.flatten(1)
        draw = active.dice.normal(flat.shape[1:], device=x.device).to(flat)
        fresh = state.poll == 0
        length = draw.norm(dim=1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        state.mirror = pick(fresh, draw / length, state.mirror)
        column = (state.poll.clamp(min=0) // 2).clamp(max=flat.shape[1] - 1)[:, None]
        axis = torch.zeros_like(flat).scatter(1, column, 1.0)
        way = axis - 2 * state.mirror.gather(1, column) * state.mirror
        way = way * torch.where(state.poll % 2 == 0, 1.0, -1.0).to(way)[:, None]
        polled = state.change + fit(state.mesh, state.change) * self._scaled(active, state, way)
        step = threat.steepest(x, state.change, state.slope)
        followed = state.change + fit(state.stride, step) * step
        point = threat.project(x, pick(follows, followed, polled)).detach()
        return self._covering(active, state, point) if self.cover else point

    def _scaled(self, active: Active, state: _Search, way: Tensor) -> Tensor:
        """A direction `(A, n)` as a change one radius long in the threat's own measure."""
        way = way.reshape(state.change.shape)
        full = active.threat.steepest(active.x, state.change, way).flatten(1).abs().amax(1)
        tallest = way.flatten(1).abs().amax(1).clamp(min=torch.finfo(way.dtype).tiny)
        return way * fit(full / tallest, way)

    def _covering(self, active: Active, state: _Search, point: Tensor) -> Tensor:
        """Rows at the end of a poll try the one of some draws that is furthest from all seen."""
        draws = [active.threat.sample(active.x, active.dice).detach() for _ in range(self.cover)]
        gaps = torch.stack(
            [torch.cdist(d.flatten(1)[:, None], state.seen).amin(2).squeeze(1) for d in draws], 1
        )
        row = torch.arange(len(point), device=point.device)
        furthest = torch.stack(draws, 1)[row, gaps.argmax(1)]
        return pick(state.poll == 2 * state.mirror.shape[1], furthest, point)

    def _adapt(self, state: _Search, follows: Tensor, better: Tensor) -> None:
        """Lengths double after a success and halve after a failure, which changes the search."""
        halved = torch.where(better, 2 * state.stride, state.stride / 2).clamp(max=LONGEST)
        state.stride = torch.where(follows, halved, state.stride)
        over = ~follows & ~better & (state.poll + 1 >= self._polls(state))
        won = ~follows & better
        mesh = torch.where(won, 2 * state.mesh, torch.where(over, state.mesh / 2, state.mesh))
        state.mesh = mesh.clamp(max=LONGEST)
        first = -1 if self.gradient else 0
        onward = torch.where(won | over, first, state.poll + 1)
        state.poll = torch.where(follows, torch.where(better, -1, 0), onward)
        spent = (state.stride < self.least) & (state.mesh < self.least)
        state.stride = torch.where(spent, self.stride, state.stride)
        state.mesh = torch.where(spent, self.mesh, state.mesh)

    def _polls(self, state: _Search) -> int:
        """Points of a poll: every direction and its opposite, and the covering point."""
        return 2 * state.mirror.shape[1] + (1 if self.cover else 0)
