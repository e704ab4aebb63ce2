"""More of one source moves models along its line; a mixture lies between the lines of its parts."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs import dilution
from holdfast.measures.outputs.dilution import output_mixture, source_dilution

SIZES, REPEATS, CORE, TEST = (60, 120, 250, 500, 1000, 2000, 4000), 4, 10, 4000
AGREE = {"a": 0.5, "b": 0.95, "plain": 0.75, "shifted": 0.25}


def _drawn(n: int, agree: float, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ten weak core features, and a spurious one that agrees with the label at a given rate."""
    y = 2 * torch.randint(2, (n,), generator=g).double() - 1
    side = torch.where(torch.rand(n, generator=g) < agree, y, -y)
    x = torch.randn(n, CORE + 1, generator=g, dtype=torch.float64)
    return torch.cat([x[:, :CORE] + 0.3 * y[:, None], x[:, CORE:] + side[:, None]], 1), y


def _mixed(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    parts = [_drawn(n // 2, AGREE[k], g) for k in ("a", "b")]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


@cache
def _pairs(seed: int, mutant: str) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    tests = [_drawn(TEST, AGREE[k], g) for k in ("plain", "shifted")]
    found: dict[str, list[list[float]]] = {"a": [], "b": [], "mixed": []}
    for n in SIZES:
        for _ in range(REPEATS):
            for name, rows in found.items():
                only = mutant == "mixture-of-one-source"
                source = "b" if name == "b" or (name == "mixed" and only) else "a"
                x, y = _mixed(n, g) if name == "mixed" and not only else _drawn(n, AGREE[source], g)
                ridge = 5 * torch.eye(CORE + 1, dtype=torch.float64)
                line = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
                rows.append([float(((t @ line) * s > 0).double().mean()) for t, s in tests])
    return {k: torch.tensor(v).double() for k, v in found.items()}


def trial(seed: int, mutant: str = "") -> Trial:
    """Mixture and worse source, below the line of the better source."""
    pairs = _pairs(seed, mutant)
    sources = {"a": pairs["a"], "b": pairs["b"]}
    if mutant == "best-is-worst":
        with patch.object(dilution, "max", min, create=True):
            found = source_dilution(sources, pairs["mixed"], rows=TEST)
    else:
        found = source_dilution(sources, pairs["mixed"], rows=TEST)
    z = {"a": torch.ones(2, 3), "b": torch.zeros(2, 3)}
    alone = torch.equal(output_mixture(z, {"a": 1.0, "b": 0.0}), z["a"])
    # Clearly inside: neither the better line nor the worse one.
    inside = found.floor + 0.02 < found.below < -0.02
    return Trial(found.below, found.floor, found.best == "a" and found.diluted and inside and alone)


CLAIM = Claim(
    paper="clip-quality-not-quantity",
    methods=("measure:source-dilution",),
    says="Models trained on equal parts of a clean and a spurious source lie below the line of the "
    "clean one and above that of the other, by 0.02 of accuracy or more.",
    left="accuracy of the mixture under shift, less what the clean source's line gives",
    right="the same of the spurious source's line",
    trial=trial,
    mutants=("mixture-of-one-source", "best-is-worst"),
    seconds=4,
    why="linear models on synthetic features; images with captions are not tried",
)
