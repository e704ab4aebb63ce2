"""Patches, changes of weights and of layers, and shared changes against naive twins."""

import copy

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.kinds import Access
from holdfast.run.passes import Passes, Tap
from holdfast.testing.worlds import Images
from holdfast.threats.bind import bind
from holdfast.threats.grammar import parse
from holdfast.threats.latent import Latent
from holdfast.threats.norms import L2, LInf
from holdfast.threats.patch import Patch
from holdfast.threats.shared import Shared
from holdfast.threats.weights import Weights


def test_a_patch_changes_exactly_its_rectangle() -> None:
    x = 0.25 + torch.zeros(40, 3, 9, 7, dtype=torch.float64)
    threat = Patch(height=3, width=2)
    change = threat.sample(x, Dice.of(40))
    y, parts = threat.apply(x, change), threat.slices(x)
    touched = (y != x).all(1)
    assert (touched.flatten(1).sum(1) == 6).all()
    assert (touched == (y != x).any(1)).all()
    content = change[:, parts["content"]].reshape(40, 3, 3, 2)
    for i in range(40):
        top, left = (change[i, parts["place"]] * torch.tensor([6.0, 5.0])).round().long().tolist()
        assert torch.allclose(y[i, :, top : top + 3, left : left + 2], content[i])


def test_the_place_of_a_patch_follows_its_gradient_to_the_target() -> None:
    """A bright patch is pulled towards the pixels that count."""
    x = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    weight = torch.exp(
        -((torch.arange(12.0)[:, None] - 9) ** 2 + (torch.arange(12.0) - 8) ** 2) / 30
    )
    threat = Patch(height=3, width=3)
    change = threat.none(x)
    change[:, :9], change[:, -1] = 1, 1
    change[:, 9:11] = torch.tensor([0.23, 0.31])
    for _ in range(40):
        moved = change.clone().requires_grad_()
        height = (threat.apply(x, moved) * weight).sum()
        (g,) = torch.autograd.grad(height, moved)
        change = threat.project(x, change + 0.1 * threat.steepest(x, change, g))
    place = (change[0, 9:11] * 9).round()
    assert (place - torch.tensor([8.0, 7.0])).abs().max() <= 1


def test_changed_weights_are_those_of_a_changed_copy() -> None:
    world = Images.make(rows=5)
    threat = Weights(radius=0.1).of(world.model)
    change = threat.sample(world.x, Dice.of(5))
    tap = Tap(world.model, Access.GRADIENT)
    out = threat.through(tap, world.x, change)
    assert tap.passes == Passes(5, 0)
    for i in range(5):
        twin = copy.deepcopy(world.model)
        with torch.no_grad():
            for name, s in threat.slices(world.x).items():
                weight = twin.get_parameter(name)
                part = change[i, s].reshape(weight.shape)
                assert part.norm() <= 1 + 1e-12
                weight += 0.1 * weight.norm() * part
            assert torch.allclose(out[i], twin(world.x[i : i + 1])[0])


def test_one_change_of_weights_for_all_rows_costs_one_pass() -> None:
    world = Images.make(rows=5)
    threat = bind(parse("shared+weights:0.1"), world.model)
    change = threat.sample(world.x, Dice.of(5))
    assert (change == change[:1]).all()
    alone = bind(parse("weights:0.1"), world.model)
    apart = alone.through(world.model, world.x, change.clone())
    assert torch.allclose(threat.through(world.model, world.x, change), apart)


def test_a_latent_change_is_an_addition_behind_the_layer() -> None:
    world = Images.make(rows=4)
    threat = Latent(layer="head", radius=0.2).of(world.model)
    change = threat.sample(world.x, Dice.of(4))
    clean = world.model(world.x).detach()
    expected = clean + 0.2 * clean.norm(dim=1, keepdim=True) * change
    with torch.no_grad():
        assert torch.allclose(threat.through(world.model, world.x, change), expected)


def test_the_hook_is_removed_when_the_model_fails() -> None:
    world = Images.make(rows=2)
    threat = Latent(layer="conv").of(world.model)
    change = threat.none(world.x)
    with pytest.raises(RuntimeError):
        threat.through(world.model, world.x[:, :, :3], change)
    assert not world.model.conv._forward_hooks


def test_unbound_and_impossible_threats_say_so() -> None:
    x = torch.zeros(2, 1, 6, 6)
    with pytest.raises(Unsupported, match=r"threat\.of"):
        Weights().none(x)
    with pytest.raises(Unsupported, match=r"threat\.of"):
        Latent().none(x)
    with pytest.raises(Unsupported, match="one torch module"):
        Weights().of(lambda x: x)
    with pytest.raises(ConfigError, match="head"):
        Latent(layer="haed").of(Images.make().model)


def test_a_shared_change_is_one_row_and_steps_along_the_summed_gradient() -> None:
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    threat = Shared(threat=L2(radius=0.5))
    step = threat.project(x, threat.steepest(x, threat.none(x), g))
    total = g.sum(0)
    assert torch.allclose(step, (0.5 * total / total.norm()).expand(6, 4))
    assert (threat.size(x, step) <= 1 + 1e-9).all()
    apart = step.clone()
    apart[2] = 0
    assert threat.size(x, apart)[2] == float("inf")
    y = Shared(threat=LInf(radius=0.5)).apply(x, torch.full_like(x, 0.5))
    assert torch.allclose(y, (x + 0.5).clamp(max=1))
