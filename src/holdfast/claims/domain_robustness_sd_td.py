"""The target drop follows the distance between domains, the source drop how hard they are."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.domains import domain_drops
from holdfast.ops.ranking import rank_correlation

ANGLES = torch.tensor([0.0, 0.35, 0.7, 1.05]).double()
NOISE = torch.tensor([0.9, 0.5, 1.1, 0.6]).double()
ROWS = 4000


def _drawn(domain: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two classes along a direction that the domain turns, and noise that makes it hard."""
    y = 2 * torch.randint(2, (ROWS,), generator=g).double() - 1
    along = torch.stack([ANGLES[domain].cos(), ANGLES[domain].sin()])
    noise = torch.randn(ROWS, 2, generator=g, dtype=torch.float64)
    return y[:, None] * along + NOISE[domain] * noise, y


def _correlation(a: Tensor, b: Tensor) -> float:
    off = ~torch.eye(len(a), dtype=torch.bool)
    return float(rank_correlation(a[off][None], b[off][None])[0])


def trial(seed: int, mutant: str = "") -> Trial:
    """Rank correlation of both drops with the angle between domains."""
    g = torch.Generator().manual_seed(seed)
    lines = [torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
             for x, y in (_drawn(d, g) for d in range(4))]  # fmt: skip
    tests = [_drawn(d, g) for d in range(4)]
    p = torch.tensor([[float(((x @ w) * y > 0).double().mean()) for x, y in tests] for w in lines])
    if mutant == "source-and-target-swapped":
        p = p.T
    if mutant == "no-own-domain":
        p = p - p.diag().diag() + p.mean().expand(4).diag()
    found = domain_drops(p)
    far = (ANGLES[:, None] - ANGLES).abs()
    harder = NOISE[None] - NOISE[:, None]
    td, sd = _correlation(found.target, far), _correlation(found.source, far)
    off = found.off
    same = abs(float(found.source[off].mean() - found.target[off].mean())) < 1e-9
    hard = _correlation(found.source, harder) > _correlation(found.target, harder)
    return Trial(td, sd, td > 0.7 and td > sd + 0.1 and hard and same)


CLAIM = Claim(
    paper="domain-robustness-sd-td",
    methods=("measure:domain-drops",),
    says="Over twelve moves between four domains, the target drop ranks as the distance of the "
    "domains (above 0.7), better than the source drop, which ranks as their difficulty; both have "
    "the same mean.",
    left="rank correlation of the target drop with the angle between domains",
    right="the same of the source drop",
    trial=trial,
    seeds=(0, 1, 2, 3, 4),
    mutants=("source-and-target-swapped", "no-own-domain"),
    seconds=2,
    why="linear models on synthetic domains; language models and their tasks are not tried",
)
