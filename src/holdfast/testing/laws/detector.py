"""Laws of detectors: a score per row, larger for what is strange, fitted without a trace."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.kinds import Detector, Score
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import draws


@cache
def _world() -> tuple[nn.Sequential, Batches, Tensor, Tensor]:
    """Three blobs, a net trained on them, fresh familiar rows, and rows far from all blobs."""
    g = draws(5)
    centres = torch.tensor([[0.2, 0.2, 0.8, 0.5], [0.8, 0.2, 0.2, 0.5], [0.5, 0.8, 0.5, 0.1]])
    y = torch.arange(240) % 3
    x = (centres[y] + 0.05 * torch.randn(240, 4, generator=g)).double()
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype) / 2)
    step = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(120):
        step.zero_grad()
        nn.functional.cross_entropy(model(x[:160]), y[:160]).backward()
        step.step()
    model.zero_grad()
    # Between the blobs the classes vote against each other; there no detector has an excuse.
    middle = centres.mean(0).double() + 0.02 * torch.randn(80, 4, generator=g, dtype=torch.float64)
    return model.eval(), Batches(x=x[:160], y=y[:160], size=64), x[160:], middle


def _score(method: Detector) -> Score:
    model, trusted, _, _ = _world()
    return method.fit(model, trusted)


def law_one_finite_number_per_row(method: Detector) -> None:
    """The score is one finite number per row; no rows give none."""
    score, (_, _, x, strange) = _score(method), _world()
    for rows in (x, strange, x[:1], x[:0]):
        found = score(rows)
        if found.shape != (len(rows),) or not bool(found.isfinite().all()):
            raise LawBroken(f"{len(rows)} rows got scores of shape {tuple(found.shape)}")


def law_strange_rows_score_higher(method: Detector) -> None:
    """Rows between all classes score higher than familiar ones in at least 8 of 10 pairs."""
    score, (_, _, x, strange) = _score(method), _world()
    ahead = (score(strange)[:, None] > score(x)[None]).double().mean()
    if ahead < 0.8:
        raise LawBroken(f"a strange row scores higher in only {float(ahead):.0%} of pairs")


def law_rows_do_not_depend_on_each_other(method: Detector) -> None:
    """A row scores the same alone, among others and in any order."""
    score, (_, _, x, _) = _score(method), _world()
    order = torch.tensor([5, 70, 2])
    if not torch.allclose(score(x)[order], score(x[order]), rtol=1e-9, atol=1e-9):
        raise LawBroken("a row's score depends on the other rows")


def law_fitting_is_repeatable(method: Detector) -> None:
    """Fitted twice on the same rows it scores the same, bit for bit."""
    _, _, x, _ = _world()
    if not torch.equal(_score(method)(x), _score(method)(x)):
        raise LawBroken("fitted twice, it scores differently")


def law_leaves_the_model_as_it_was(method: Detector) -> None:
    """Weights, flags, hooks, modes and random states stay in fitting and scoring, even stopped."""
    model, trusted, x, _ = _world()
    with no_trace(method, model):
        _score(method)(x)
    stopped_anywhere(method, model, lambda fragile: method.fit(fragile, trusted)(x), (0, 1, 4))


def law_broken_outputs_are_never_trusted(method: Detector) -> None:
    """A row on which the model breaks down scores infinity, never less."""
    _, trusted, x, _ = _world()
    inner = _world()[0]

    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(torch.where(x > 5, torch.nan, x))
            return out

    broken = torch.cat([x[:3], x[:1] + 100])
    found = method.fit(Breaks().eval(), trusted)(broken)
    if not bool(found[:3].isfinite().all()) or found[3] != torch.inf:
        raise LawBroken(f"non-finite outputs score {float(found[3])}")
