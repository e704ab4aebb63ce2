"""Pruned twins of a population keep its answers and its order, until too much is gone."""

from __future__ import annotations

from functools import cache
from typing import cast

import torch
from torch import nn

from holdfast.claims.digits import split
from holdfast.claims.fitted import fitted, perceptron
from holdfast.claims.harness import Claim, Trial
from holdfast.compress.magnitude import MagnitudePruning
from holdfast.core.fields import Later
from holdfast.hooks.sparse import Anneal, KeepZeros
from holdfast.layers.variational import variational, without_noise
from holdfast.measures.model.agreement import agreement, zoo
from holdfast.ops.ranking import rank_correlation

RATES = (1e-3, 2e-3, 3e-3, 5e-3, 8e-3, 1.2e-2)  # the population: how far each was trained


@cache
def _population(seed: int) -> tuple[nn.Module, ...]:
    data, _ = split(seed, 512)
    return tuple(
        fitted(perceptron(64, 48, 10, 10 * seed + k), data, epochs=12, seed=seed,
               optimizer=Later("torch:Adam", lr=rate))
        for k, rate in enumerate(RATES)
    )  # fmt: skip


@cache
def _variational(seed: int) -> tuple[float, float]:
    """Sparsity by variational dropout, and what it costs the last model of the population."""
    data, test = split(seed, 512)
    net = variational(_population(seed)[-1], len(data))
    rate = Later("torch:Adam", lr=1e-2)
    fitted(net, data, epochs=30, seed=seed, optimizer=rate, hooks=(Anneal(until=0.7),))
    twin = without_noise(net)
    weights = torch.cat([p.flatten() for n, p in twin.named_parameters() if n.endswith("weight")])
    table = zoo([_population(seed)[-1]], [twin], test)
    return float((weights == 0).double().mean()), float(table.accuracy - table.twin)


def trial(seed: int, mutant: str = "") -> Trial:
    """Agreement of the twins with half of the weights, and with a twentieth."""
    data, test = split(seed, 512)
    nets = _population(seed)
    same, drop, order = [], [], 0.0
    for density in (0.5, 0.2, 0.05):
        twins = [MagnitudePruning(density=density)(n, None) for n in nets]
        if mutant == "prunes-the-large":
            twins = [_inverted(n, t) for n, t in zip(nets, twins, strict=True)]
        if density == 0.5:
            rewritten = twins[0][2] if isinstance(twins[0], nn.Sequential) else twins[0]
            zeros = cast("nn.Linear", rewritten).weight == 0
            fitted(twins[0], data, epochs=1, seed=seed, hooks=(KeepZeros(),))
            kept = bool((cast("nn.Linear", rewritten).weight[zeros] == 0).all())
        table = zoo(nets, twins, test)
        same.append(float(table.same.mean()))
        drop.append(float((table.accuracy - table.twin).mean()))
        if density == 0.5:
            order = float(rank_correlation(table.accuracy, table.twin))
    if mutant == "counts-other-rows":
        same = [agreement((nets[0], nets[0]), test).chance] * 3
    sparsity, cost = _variational(0)
    holds = (
        same[0] > 0.9 and same[0] > same[1] > same[2] and drop[0] < 0.04 and drop[2] > drop[0]
        and order > 0.6 and kept and sparsity > 0.6 and cost < 0.05
    )  # fmt: skip
    return Trial(same[0], same[2], holds)


def _inverted(net: nn.Module, twin: nn.Module) -> nn.Module:
    """The mutant: keeps what pruning drops, and drops what it keeps."""
    with torch.no_grad():
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            if p.dim() > 1:
                q.copy_(p * (q == 0))
    return twin


CLAIM = Claim(
    paper="sparsified-model-zoos",
    methods=("measure:agreement", "hook:keep-zeros", "hook:anneal"),
    says="Over a population, twins with half of the weights give the same answer on 90 % of rows "
    "or more, cost less than 4 points and keep the order of accuracies (above 0.6); agreement "
    "falls with the weights that are left. Variational dropout "
    "removes 60 % for less than 5 points.",
    left="share of same answers with half of the weights",
    right="with a twentieth of them",
    trial=trial,
    seeds=(0, 1),
    mutants=("prunes-the-large", "counts-other-rows"),
    seconds=6,
)
