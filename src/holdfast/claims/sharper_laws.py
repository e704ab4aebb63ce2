"""Random features stay sensitive; tangent features of an even activation become robust."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.layers.features import RandomFeatures, TangentFeatures
from holdfast.measures.model.sensitivity import sensitivity
from holdfast.testing.worlds import draws

SIZE, COUNTS = 100, (100, 200, 400)


def _sphere(count: int, g: torch.Generator) -> Tensor:
    x = torch.randn(count, SIZE, generator=g).double()
    far: Tensor = x / x.norm(dim=1, keepdim=True) * SIZE**0.5
    return far


class _Uneven(TangentFeatures):
    """Bug: a constant is added to the derivative, so that the activation is no longer even."""

    def bent(self, x: Tensor) -> Tensor:
        return super().bent(x) + 1


class _Unscaled(nn.Module):
    """Bug: the answers are multiplied, and nothing is fitted any more."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.factor * self.inner(x)
        return out


@cache
def _sensitivities(seed: int, mutant: str) -> dict[str, float]:
    """Median sensitivity of each family, by number of rows and of features per row."""
    found = {}
    kind = _Uneven if mutant == "activation-not-even" else TangentFeatures
    for n in COUNTS:
        g = draws(seed * 1000 + n)
        x, z = _sphere(n, g), _sphere(40, g)
        y = (2 * torch.randint(2, (n,), generator=g) - 1).double()
        shares = (0.25, 1.0, 4.0) if n == COUNTS[0] else (4.0,)
        models: dict[str, nn.Module] = {
            f"tangent {n} {share}": kind(SIZE, int(share * n), bend="tanh", seed=seed).fitted(x, y)
            for share in shares
        }
        models[f"random {n}"] = RandomFeatures(SIZE, 8 * n, seed=seed).fitted(x, y)
        for name, model in models.items():
            residual = float((model(x)[:, 0] - y).abs().max())
            if residual > 1e-6:
                raise ArithmeticError(f"{name} does not fit: {residual}")
            shown = _Unscaled(model, 0.1) if mutant == "not-fitted" and "random" in name else model
            values = sensitivity(shown, Batches(x=z, y=torch.zeros(40)), steps=2).values
            found[name] = float(values.median())
    return found


def trial(seed: int, mutant: str = "") -> Trial:
    """The largest ratio of tangent to random features, which is to stay below 0.6."""
    s = _sensitivities(seed, mutant)
    ratio = max(s[f"tangent {n} 4.0"] / s[f"random {n}"] for n in COUNTS)
    first = COUNTS[0]
    falls = s[f"tangent {first} 0.25"] > s[f"tangent {first} 1.0"] > s[f"tangent {first} 4.0"]
    worse = s[f"random {first}"] >= 1.5 * s[f"tangent {first} 0.25"]
    return Trial(ratio, 0.6, ratio <= 0.6 and falls and worse)


CLAIM = Claim(
    paper="sharper-laws",
    methods=("measure:sensitivity",),
    says="Fitting noise, tangent features of an even activation are at most 0.6 times as "
    "sensitive as twice as many random features, and the less the more of them there are.",
    left="largest ratio of median sensitivities over n = 100, 200, 400 rows of 100 numbers",
    right="0.6",
    trial=trial,
    mutants=("activation-not-even", "not-fitted"),
    seconds=9,
    why="the growth of random features with n^(1/6) is too slow to be seen here",
)
