"""Transfer attacks against their identities, torch's own resizing, and what the victim sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.attacks.transfer import NI_SI_TI_DIM, Transfer
from holdfast.attacks.transfer_matrix import transfer_matrix
from holdfast.attacks.views import _lines, blurred, partners, shrunk
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Access
from holdfast.core.quiet import quiet
from holdfast.run.search import search
from holdfast.testing.worlds import Images, two_class
from holdfast.threats.norms import L2, LInf

THREAT = LInf(radius=0.05)


def _run(attack, world, threat=THREAT):
    return attack(world.model, world.x, world.goal, threat)


def _other(seed=1):
    return Images.make(seed=seed).model


def test_without_momentum_it_is_the_basic_iterative_method_bit_for_bit():
    world = Images.make()
    surrogate = _other()
    ours = _run(Transfer(momentum=0.0, steps=7, surrogates=(surrogate,)), world)
    change = torch.zeros_like(world.x)
    for _ in range(7):
        at = change.clone().requires_grad_()
        loss = torch.logsumexp(world.goal.ways(surrogate(world.x + at)), 1).sum()
        (slope,) = torch.autograd.grad(loss, at)
        change = THREAT.project(world.x, change.add(0.05 * slope.sign(), alpha=1 / 7))
    assert torch.equal(ours, change)


def test_as_a_white_box_it_is_pgd_without_a_start():
    world = Images.make()
    ours = search(Transfer(momentum=0.0), world.model, world.x, world.goal, THREAT)
    pgd = PGD(steps=10, travel=1.0, start="none", climb="soft")
    theirs = search(pgd, world.model, world.x, world.goal, THREAT)
    assert torch.equal(ours.margin, theirs.margin)


class _Times(nn.Module):
    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x):
        return self.factor * self.inner(x)


def test_the_scale_of_the_gradient_does_not_matter():
    world, model = Images.make(), _other()

    class Sevenfold(LInf):
        def steepest(self, x, change, gradient):
            return super().steepest(x, change, 7 * gradient)

    one = _run(Transfer(surrogates=(model,)), world)
    seven = _run(Transfer(surrogates=(model,)), world, Sevenfold(radius=THREAT.radius))
    assert torch.equal(one, seven)


@pytest.mark.parametrize("extra", [{"scales": 1}, {"blur": 1}, {"diversity": 0.0}, {"mixed": 0}])
def test_neutral_extras_are_identities(extra):
    world = Images.make()
    plain = Transfer(surrogates=(_other(),))
    assert torch.equal(_run(plain, world), _run(replace(plain, **extra), world))


@pytest.mark.parametrize("fuse", ["logits", "probs", "loss", "one"])
def test_two_equal_surrogates_are_one(fuse):
    world, model = Images.make(), _other()
    alone = _run(Transfer(surrogates=(model,)), world)
    twice = _run(Transfer(surrogates=(model, model), fuse=fuse), world)
    assert torch.equal(alone, twice)


def test_momentum_is_the_decayed_sum_of_scaled_gradients():
    world, model = Images.make(rows=3), _other()
    threat = L2(radius=0.4)
    ours = _run(Transfer(steps=4, momentum=0.7, surrogates=(model,)), world, threat)
    change, memory = torch.zeros_like(world.x), torch.zeros_like(world.x)
    for _ in range(4):
        at = change.clone().requires_grad_()
        loss = torch.logsumexp(world.goal.ways(model(world.x + at)), 1).sum()
        (slope,) = torch.autograd.grad(loss, at)
        memory = 0.7 * memory + slope / slope.abs().mean((1, 2, 3), keepdim=True)
        step = threat.steepest(world.x, change, memory)
        change = threat.project(world.x, change + 0.25 * step)
    assert torch.allclose(ours, change)


def test_the_victim_is_never_asked():
    world = Images.make()
    attack = replace(NI_SI_TI_DIM, surrogates=(_other(),), steps=2)
    assert attack.access is Access.DECISION

    def refuses(x):
        raise AssertionError("asked")

    attack(refuses, world.x, world.goal, THREAT)
    found = search(attack, world.model, world.x, world.goal, THREAT)
    assert found.passes.forwards == 2 * len(world.x) and found.passes.backwards == 0


def test_shrinking_is_interpolation_and_padding():
    z = torch.rand(4, 3, 10, 10, dtype=torch.float64)
    size, start = torch.tensor([7.0, 9.0, 10.0, 8.0]), torch.tensor([1.0, 0.0, 0.0, 2.0])
    lines = _lines(10, size, start)
    ours = lines[:, None] @ z @ lines[:, None].transpose(2, 3)
    for row, (n, at) in enumerate(zip(size.int().tolist(), start.int().tolist(), strict=True)):
        small = F.interpolate(z[row : row + 1], (n, n), mode="bilinear", align_corners=False)
        theirs = F.pad(small, (at, 10 - n - at, at, 10 - n - at))
        assert torch.allclose(ours[row], theirs[0])
    assert torch.equal(shrunk(z, 0.0, 0.9, Dice.of(4)), z)
    assert shrunk(z[:, :, 0], 1.0, 0.5, Dice.of(4)).shape == (4, 3, 10)
    assert not torch.equal(shrunk(z, 1.0, 0.5, Dice.of(4)), z)


def test_blurring_is_a_convolution_that_sums_to_one():
    g = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    i = torch.arange(5, dtype=torch.float64) - 2
    line = torch.exp(-i.square() / (2 * 1.5**2))
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).expand(3, 1, 5, 5)
    theirs = F.conv2d(g, kernel, padding=2, groups=3)
    assert torch.allclose(blurred(g, 5, 1.5), theirs)
    assert torch.allclose(blurred(torch.ones(1, 1, 9, 9), 3, 3.0)[:, :, 1:-1, 1:-1], torch.ones(1))


def test_partners_are_of_other_classes_where_there_are_any():
    pool = torch.arange(6.0)[:, None]
    apart = torch.tensor([[True, False, True, False, True, False]]).repeat(50, 1)
    drawn = partners(pool, apart, 3, Dice.of(50))
    assert (drawn.squeeze(2).sort(1).values == torch.tensor([0.0, 2.0, 4.0])).all()
    assert len(partners(pool, apart, 2, Dice.of(50))[:, 0].unique()) == 3


def test_mixing_needs_a_pool_and_flat_rows_cannot_be_shrunk_or_blurred():
    world, flat = Images.make(), two_class()
    with pytest.raises(Unsupported, match="pool"):
        _run(Transfer(mixed=2, surrogates=(_other(),)), world)
    mixed = Transfer(mixed=2, pool=Images.make(seed=5).x, surrogates=(_other(),))
    assert _run(mixed, world).shape == world.x.shape
    for extra in ({"diversity": 0.5}, {"blur": 3}):
        with pytest.raises(Unsupported):
            _run(Transfer(**extra), flat)
    with pytest.raises(Unsupported, match="cannot read"):
        _run(Transfer(surrogates=(_other(),)), flat)


def test_surrogates_are_left_as_found():
    world, model = Images.make(), _other().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    _run(Transfer(surrogates=(model,)), world)
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    with quiet(model):
        pass


def test_the_matrix_holds_every_pair_and_the_worst():
    world = Images.make(rows=8)
    sources = {"itself": world.model, "other": _other()}
    attacks = {"pgd": PGD(steps=5), "mi": Transfer(steps=5)}
    found = transfer_matrix(
        world.model, world.x, world.goal, THREAT, sources=sources, attacks=attacks
    )
    assert found.accuracy.shape == (2, 2) and found.worst == float(found.accuracy.min())
    assert found.accuracy[0].max() <= found.accuracy[1].min() + 0.25
    names = [r.name for r in found.readings()]
    assert names[:2] == ["transfer.worst", "transfer.worst-per-row"] and len(names) == 6
    per_row = found.readings()[1].value
    assert per_row <= found.worst
    lost = Untargeted((world.y + 1) % 5)
    none = transfer_matrix(world.model, world.x, lost, THREAT, sources=sources, attacks=attacks)
    assert none.worst == 0.0
