"""The strength of adversarial examples is the secant of an angle, whatever the error."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.measures.model.local_tilt import local_tilt
from holdfast.measures.model.plane import Plane
from holdfast.measures.model.tilting import adversarial_strength
from holdfast.measures.model.tilting_curve import tilting_curve
from holdfast.ops.ranking import rank_correlation

STRENGTHS = np.logspace(-5, 2, 15)  # of the regularisation


class _Halfway(Plane):
    """Mutant: reflects points onto the boundary instead of through it."""

    def mirror(self, x: Tensor) -> Tensor:
        return (x.double() + super().mirror(x)) / 2


class _Weighted(Plane):
    """Mutant: forgets to divide the offset by the length of the normal."""

    def __post_init__(self) -> None:
        raw = self.offset
        super().__post_init__()
        object.__setattr__(self, "offset", raw)


@cache
def digits(seed: int) -> tuple[Tensor, Tensor]:
    """Threes (0) and eights (1), in an order drawn from the seed."""
    from sklearn.datasets import load_digits

    data = load_digits()
    use = np.isin(data.target, (3, 8))
    order = np.random.default_rng(seed).permutation(int(use.sum()))
    x, y = data.data[use][order] / 16, (data.target[use][order] == 8).astype(int)
    return torch.tensor(x), torch.tensor(y)


@cache
def path(seed: int) -> tuple[tuple[Tensor, float, float], ...]:
    """Normal, offset and held-out error of logistic regression at each regularisation."""
    from sklearn.linear_model import LogisticRegression

    x, y = digits(seed)
    half = len(y) // 2
    found = []
    for strength in STRENGTHS:
        fit = LogisticRegression(C=1 / (half * strength), max_iter=3000, tol=1e-6)
        fit.fit(x[:half].numpy(), y[:half].numpy())
        error = 1 - fit.score(x[half:].numpy(), y[half:].numpy())
        found.append((torch.tensor(fit.coef_[0]), float(fit.intercept_[0]), float(error)))
    return tuple(found)


def _exact(seed: int, plane: type[Plane]) -> bool:
    """Secants at random angles; a tilt along which nothing varies; a net without hidden layers."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 6, generator=g, dtype=torch.float64)
    y = torch.arange(200) % 2
    x[:, 5] = 0.0
    x[y == 1, 0] += 2.0
    rows = Batches(x=x, y=y)
    middle = (x[y == 0].mean(0) + x[y == 1].mean(0)) / 2
    good = True
    for _ in range(5):
        normal = torch.randn(6, generator=g, dtype=torch.float64)
        found = adversarial_strength(plane(normal, -float(normal @ middle)), rows)
        good &= abs(found.ratio.value / found.secant.value - 1) < 1e-10
    still = torch.eye(6, dtype=torch.float64)[5]
    curve = tilting_curve(rows, direction=still, angles=(0.0, 30.0, 60.0, 85.0))
    good &= len(set(curve.error)) == 1 and curve.strength[-1] > 11
    layer = nn.Linear(6, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(2, 6, generator=g, dtype=torch.float64))
        layer.bias.copy_(torch.randn(2, generator=g, dtype=torch.float64))
    whole = adversarial_strength(plane.of(layer, x), rows)
    return good and abs(local_tilt(layer, rows).median.value - whole.angle.value) < 1e-6


def trial(seed: int, mutant: str = "") -> Trial:
    """Rank correlation of regularisation and strength along a path of logistic regressions."""
    plane = {"onto-the-boundary": _Halfway, "offset-of-another-length": _Weighted}.get(
        mutant, Plane
    )
    x, y = digits(seed)
    half = len(y) // 2
    rows = Batches(x=x[:half], y=y[:half])
    normals = path(seed)
    found = [adversarial_strength(plane(w, b), rows) for w, b, _ in normals]
    strengths = torch.tensor([f.ratio.value for f in found], dtype=torch.float64)
    if mutant == "sine-for-cosine":
        angles = torch.tensor([f.angle.value for f in found], dtype=torch.float64).deg2rad()
        strengths = 1 / angles.sin()
    order = rank_correlation(torch.tensor(STRENGTHS)[None].log(), strengths[None])
    errors = [e for _, _, e in normals]
    best = int(np.argmin(errors))
    good = _exact(seed, plane) and float(strengths[best]) > float(strengths[-1])
    return Trial(float(order[0]), -0.95, float(order[0]) <= -0.95 and good)


CLAIM = Claim(
    paper="boundary-tilting",
    methods=("measure:adversarial-strength", "measure:tilting-curve", "measure:local-tilt"),
    says="Strength is the secant of the angle to 1e-10, grows without any change of the error "
    "along a direction in which nothing varies, and falls with the regularisation of threes "
    "against eights; the best one on held-out rows is stronger than the most regularised.",
    left="Spearman correlation of regularisation and strength",
    right="-0.95",
    trial=trial,
    seeds=(51, 52, 53),
    mutants=("onto-the-boundary", "offset-of-another-length", "sine-for-cosine"),
    seconds=5,
)
