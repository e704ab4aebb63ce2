"""A strong pupil of a weak teacher pays for a conflict, and we look where."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective
from holdfast.measures.outputs import weak_to_strong as file
from holdfast.measures.outputs.weak_to_strong import Deception, weak_to_strong_deception
from holdfast.objectives.weak_to_strong import WeakToStrong
from holdfast.run.loop import Training

SEEN, WIDE, ROWS = 6, 12, 400


def _net(inputs: int, width: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 2))


def _taught(model: nn.Module, x: Tensor, y: Tensor, objective: Objective | str) -> nn.Module:
    optimizer = Later("torch:Adam", lr=1e-2, foreach=True)
    Training(objective=objective, epochs=10, optimizer=optimizer)(model, Batches(x=x, y=y, size=50))
    return model


@cache
def _world(seed: int) -> tuple[Tensor, ...]:
    """Logits on new rows of the four models, and the labels: the teacher sees half the columns."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(3 * ROWS, WIDE, generator=g)
    rule = torch.randn(WIDE, generator=g)
    y = (x @ rule > 0).long()
    first, second, new = x.split(ROWS)
    weak = _taught(_net(SEEN, 8, seed), first[:, :SEEN], y[:ROWS], "objective:supervised")
    with torch.no_grad():
        labels = weak(second[:, :SEEN]).softmax(1)
    plain, pulled = WeakToStrong(kind="plain"), WeakToStrong(kind="plain", conflict=0.7)
    kinds: list[tuple[Tensor, Objective | str]] = [
        (y[ROWS : 2 * ROWS], "objective:supervised"),
        (labels, plain),
        (labels, pulled),
    ]
    strong = [_taught(_net(WIDE, 64, seed + 1), second, t, o) for t, o in kinds]
    with torch.no_grad():
        return (weak(new[:, :SEEN]), *(m(new) for m in strong), y[2 * ROWS :])


def _everywhere(seed: int) -> tuple[float, float]:
    """The lift of losses that fall anywhere, and how far from 1 chance alone may bring it."""
    g = torch.Generator().manual_seed(seed)
    weak, strong, lost = (torch.rand(4000, generator=g) < p for p in (0.6, 0.8, 0.2))
    found = Deception(weak, strong, lost, (0.6, 0.8, 0.7), 100, 0.05, seed, "d")
    share = float(found.hidden.double().mean())
    return found.lift or 0.0, 4 * ((1 - share) / share / int(lost.sum())) ** 0.5


def trial(seed: int, mutant: str = "") -> Trial:
    """Lift of the losses of a pupil in conflict; exact parts beside it."""
    patched = {
        "counts-all-rows": lambda rows, of: int((rows & of).sum()) / len(of),
        "looks-at-what-both-know": lambda rows, of: _share(~rows, of),
    }
    with patch.object(file, "_share", patched.get(mutant, _share)):
        lift, slack = _everywhere(seed)
        weak, strong, taught, pulled, y = _world(seed)
        found = weak_to_strong_deception(weak, strong, taught, pulled, y)
        none = weak_to_strong_deception(weak, strong, taught, taught, y)
        chance = abs(lift - 1) <= slack and none.score is None and bool(found.recovered)
        value = found.lift or 0.0
    return Trial(value, 1.0, chance and value > 1)


_share = file._share

CLAIM = Claim(
    paper="weak-to-strong-deception",
    methods=("measure:weak-to-strong-deception", "objective:weak-to-strong"),
    says="Losses that fall anywhere have a lift of 1 (4 standard errors) and no conflict loses "
    "nothing; a strong pupil of a teacher that sees half of the columns loses more of its right "
    "answers to a conflict where only a strong model knows than elsewhere.",
    left="lift of the losses over chance, pupil in conflict",
    right="1",
    trial=trial,
    mutants=("counts-all-rows", "looks-at-what-both-know"),
    seeds=(0, 1, 2),
    seconds=10,
)
