"""Sets of neurons that suffice: sound, minimal, near the smallest; their gradients."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted, logits
from holdfast.explain.proof_features import ProofFeatures
from holdfast.explain.proof_sets import ProofSet, proof_features, sufficient
from holdfast.testing.worlds import TinyReLU, three_class
from holdfast.threats.norms import LInf


def random_set(seed: int, size: int = 9, rows: int = 1) -> ProofSet:
    """A last layer and intervals of ReLUs whose full margin is positive."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.randn(rows, 3, size, generator=g).double()
    low = torch.rand(rows, size, generator=g).double()
    high = low + 0.3 * torch.rand(rows, size, generator=g).double()
    kept = torch.ones(rows, size, dtype=torch.bool)
    bare = ProofSet(weights, torch.zeros(rows, 3).double(), low, high, kept)
    least = bare.worst.sum(2)
    constant = torch.rand(rows, 3, generator=g).double() - least
    return ProofSet(weights, constant, low, high, kept)


def smallest(proof: ProofSet) -> int:
    size = proof.kept.shape[1]
    for count in range(size + 1):
        for chosen in combinations(range(size), count):
            kept = torch.zeros(1, size, dtype=torch.bool)
            kept[0, list(chosen)] = True
            if float(proof.margin(kept)) > 0:
                return count
    return size


def test_sets_suffice_and_are_near_the_smallest() -> None:
    near = 0
    for seed in range(30):
        proof = random_set(seed)
        found = sufficient(proof)
        assert float(found.margin()) > 0
        for neuron in found.kept[0].nonzero().flatten().tolist():
            less = found.kept.clone()
            less[0, neuron] = False
            assert float(found.margin(less)) <= 0
        near += int(found.size[0]) <= smallest(proof) + 2
    assert near >= 24


def test_priority_bounds_every_change() -> None:
    g = torch.Generator().manual_seed(0)
    proof = random_set(5, rows=40)
    for _ in range(20):
        kept = torch.rand(40, 9, generator=g) < 0.6
        for neuron in range(9):
            with_, without = kept.clone(), kept.clone()
            with_[:, neuron], without[:, neuron] = True, False
            change = (proof.margin(with_) - proof.margin(without)).abs()
            assert bool((change <= proof.priority[:, neuron] + 1e-12).all())


def test_without_a_proof_everything_is_kept() -> None:
    proof = random_set(1)
    unproved = ProofSet(proof.weights, proof.constant - 100, proof.low, proof.high, proof.kept)
    assert int(sufficient(unproved).size[0]) == 9


def test_margins_are_those_of_the_network() -> None:
    """Every hidden value over the region lies in its interval, and the margin below the truth."""
    world = TinyReLU.make()
    proof = proof_features(world.model, world.x, world.goal, LInf(radius=0.05))
    assert bool((proof.full <= -world.worst(0.05) + 1e-9).all())
    values = torch.relu(world.model[0](world.x)).detach()
    assert bool(((values >= proof.low) & (values <= proof.high)).all())
    clean = (proof.weights * values[:, None]).sum(2) + proof.constant
    assert torch.allclose(-clean.amin(1), world.goal(world.model(world.x)).detach(), atol=1e-9)


def test_the_gradient_of_a_linear_model_is_exact() -> None:
    """The features of a linear model are its inputs: those kept get their weights."""
    world = three_class(rows=4)
    weight = world.model.weight.detach()
    found = ProofFeatures(threat=LInf(radius=0.001))(
        world.model, world.x, lambda out: logits(out)[:, 0] - logits(out)[:, 1]
    )
    expected = (weight[0] - weight[1]).expand(4, -1)
    assert torch.allclose(found, torch.where(found != 0, expected, 0.0))
    goal = ProofFeatures(samples=3)(world.model, world.x, world.goal)
    assert goal.shape == world.x.shape and bool((goal != 0).any())


def test_refuses_what_is_not_linear() -> None:
    world = three_class(rows=2)
    with pytest.raises(Unsupported):
        ProofFeatures()(world.model, world.x, lambda out: logits(out).softmax(1)[:, 0])
    ends_in_relu = nn.Sequential(world.model, nn.ReLU())
    with pytest.raises(Unsupported):
        proof_features(ends_in_relu, world.x, Untargeted(world.y), LInf(radius=0.01))
