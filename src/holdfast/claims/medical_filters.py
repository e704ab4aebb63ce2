"""What sets filters apart is processing inside an architecture, not the domain."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.fitted import drawn, fitted
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.measures.model.filter_basis import filter_shift, net_filters, scaled, spike_score
from holdfast.measures.model.filter_shift import attributed
from holdfast.measures.model.filters import kernels
from holdfast.readers.synthetic.stripes import stripes

DOMAINS, KINDS, BINS = ("digits", "textures"), ("plain", "processed"), 30


def _net(kind: str, seed: int) -> nn.Module:
    """A small net; a processed one has a fixed layer that smooths its features."""
    net = drawn(lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 10)), seed)  # fmt: skip
    if kind == "processed":
        hat = torch.tensor([0.25, 0.5, 0.25])
        net[4].weight = nn.Parameter(  # type: ignore[index]
            (torch.outer(hat, hat) / 16).expand(16, 16, 3, 3).clone(), requires_grad=False
        )
    return net


def _data(domain: str, seed: int) -> Batches:
    if domain == "digits":
        half = digits(seed)[0]
        return replace(half.take(slice(0, 400)), size=100)
    made = stripes(400, Dice.of(400, seed))
    return Batches(x=made.x, y=made.y, size=100)


@cache
def _population(seed: int) -> tuple[tuple[nn.Module, ...], tuple[str, ...], tuple[str, ...]]:
    nets, domains, kinds = [], [], []
    for k, (domain, kind) in enumerate((d, a) for d in DOMAINS for a in KINDS for _ in range(2)):
        nets.append(fitted(_net(kind, 10 * seed + k), _data(domain, seed), epochs=3, seed=seed))
        domains.append(domain)
        kinds.append(kind)
    return tuple(nets), tuple(domains), tuple(kinds)


def _distances(rows: list[Tensor]) -> Tensor:
    return torch.tensor(
        [[filter_shift(a, b, bins=BINS) for b in rows] for a in rows], dtype=torch.float64
    )


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean distance between architectures of a domain, and between domains of an architecture."""
    nets, domains, kinds = _population(seed)
    spikes = [
        {n: spike_score(scaled(w).flatten()) for n, w in kernels(net).items()} for net in nets
    ]
    flagged = [[n for n, s in of.items() if s > 5 * min(of.values())] for of in spikes]
    if mutant == "flags-the-wrong-layer":
        flagged = [["0"] if names else [] for names in flagged]
    whole = attributed(_distances([net_filters(n) for n in nets]), domains, kinds, seed=seed)
    first, second = (kinds, domains) if mutant == "swaps-the-labels" else (domains, kinds)
    if mutant == "swaps-the-labels":
        whole = attributed(_distances([net_filters(n) for n in nets]), first, second, seed=seed)
    rows = [net_filters(n, leave=names) for n, names in zip(nets, flagged, strict=True)]
    clean = attributed(_distances(rows), first, second, seed=seed)
    gaps = whole.second - whole.first, clean.second - clean.first
    holds = whole.second > 2 * whole.first and whole.chance <= 0.05 and gaps[1] < 0.5 * gaps[0]
    return Trial(whole.second, whole.first, holds)


CLAIM = Claim(
    paper="medical-filters",
    methods=("measure:filter-shifts",),
    says="Nets with a fixed smoothing layer differ from plain ones of the same domain by more "
    "than twice what two domains differ by; with layers left out whose spikes are five times the "
    "usual, more than half of the gap goes.",
    left="mean distance of filters between architectures",
    right="mean distance between domains",
    trial=trial,
    seeds=(0, 1),
    mutants=("swaps-the-labels", "flags-the-wrong-layer"),
    seconds=6,
)
