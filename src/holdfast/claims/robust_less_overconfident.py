"""Nets trained against an attack are less sure where they are wrong."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.confidence import ConfidenceReport, confidence_report
from holdfast.testing.worlds.masked import digits, flat, trained

RADIUS, NOISE, ROWS = 0.15, 0.2, 300


@cache
def _net(seed: int, radius: float) -> nn.Module:
    x, y = digits(seed)
    return trained(flat, x[:700], y[:700], radius=radius, epochs=25, seed=seed)


def _attacked(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """PGD of 40 steps that goes on when a row is broken: how sure is the net at the end?"""
    moved = x.clone()
    for _ in range(40):
        moved.requires_grad_()
        loss = nn.functional.cross_entropy(model(moved), y, reduction="sum")
        (slope,) = torch.autograd.grad(loss, moved)
        ahead = moved.detach() + 2.5 * RADIUS / 40 * slope.sign()
        moved = torch.min(torch.max(ahead, x - RADIUS), x + RADIUS).clamp(0, 1)
    return moved


def _reports(seed: int, radius: float) -> tuple[ConfidenceReport, ConfidenceReport]:
    """Under the net's own PGD, and on noisy inputs."""
    model, (x, y) = _net(seed, radius), digits(seed)
    x, y = x[700 : 700 + ROWS], y[700 : 700 + ROWS]
    moved = _attacked(model, x, y)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    noisy: Tensor = (x + NOISE * noise).clamp(0, 1)
    with torch.no_grad():
        return (
            confidence_report(model(moved), y),
            confidence_report(model(noisy), y),
        )


def _wrong(report: ConfidenceReport) -> float:
    return float(report.sure[~report.right].mean())


def _surely(report: ConfidenceReport) -> float:
    return float((report.sure[~report.right] > 0.9).double().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean confidence of wrong answers under attack: the robust net against its plain twin."""
    hard = _reports(seed, 0.0 if mutant == "robust-twin-undefended" else RADIUS)
    plain = _reports(seed, 0.0)
    left, right = _wrong(hard[0]), _wrong(plain[0])
    if mutant == "counts-right-answers":
        left, right = (float(r[0].sure[r[0].right].mean()) for r in (plain, hard))
    less = _wrong(hard[1]) < _wrong(plain[1]) and _surely(hard[0]) <= _surely(plain[0])
    return Trial(left, right, left <= right - 0.1 and less)


CLAIM = Claim(
    paper="robust-less-overconfident",
    methods=("measure:confidence-report",),
    says="wrong answers of a net trained against PGD are less sure than those of its plain twin: "
    "by at least 0.1 under attack, and on noisy inputs too",
    left="mean confidence of the robust net's wrong answers under attack",
    right="the same of its plain twin",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("robust-twin-undefended", "counts-right-answers"),
    seconds=25,
)
