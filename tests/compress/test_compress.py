"""Pruning against torch's, rounding against its bound and torch's fake quantisation."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from holdfast.compress.magnitude import MagnitudePruning
from holdfast.compress.round import RoundToNearest
from holdfast.compress.sites import sites
from holdfast.core.errors import ConfigError, Unsupported


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 7), nn.Linear(7, 3)
        )


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [w.detach() for w in sites(model).values()]


@pytest.mark.parametrize("density", [0.0, 0.1, 0.37, 0.9, 1.0])
def test_masks_are_torchs(density: float) -> None:
    model, twin = net(), net()
    targets = [(twin[i], "weight") for i in (0, 3, 4)]
    total = sum(w.numel() for w in weights(model))
    drop = int((1 - density) * total + 1e-9)
    prune.global_unstructured(targets, prune.L1Unstructured, amount=drop)
    ours = MagnitudePruning(density=density)(model)
    for i in (0, 3, 4):
        assert torch.equal(ours[i].weight, twin[i].weight)
    assert sum(int((w == 0).sum()) for w in weights(ours)) == drop


def test_layers_and_rows_have_exact_counts() -> None:
    layer = MagnitudePruning(density=0.3, scope="layer")(net())
    row = MagnitudePruning(density=0.3, scope="row")(net())
    for w, r in zip(weights(layer), weights(row), strict=True):
        assert int((w == 0).sum()) == int(0.7 * w.numel() + 1e-9)
        zeros = (r == 0).flatten(1).sum(1)
        assert (zeros == int(0.7 * r[0].numel() + 1e-9)).all()
    twin = net()
    prune.l1_unstructured(twin[3], "weight", amount=int(0.7 * 140 + 1e-9))
    assert torch.equal(layer[3].weight, twin[3].weight)


def test_equal_weights_still_give_the_exact_count() -> None:
    model = nn.Linear(10, 10)
    model.weight.data.fill_(1.0)
    assert int((MagnitudePruning(density=0.25)(model).weight == 0).sum()) == 75


def test_the_given_model_is_left_alone_and_shares_nothing() -> None:
    model = net()
    before = copy.deepcopy(model.state_dict())
    for method in (MagnitudePruning(), RoundToNearest(bits=2)):
        new = method(model)
        assert type(new[0]) is nn.Conv2d and torch.equal(new[0].bias, model[0].bias)
        with torch.no_grad():
            for p in new.parameters():
                p.add_(1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [0, 8])
def test_error_is_at_most_half_a_step_and_levels_are_few(symmetric, bits, group) -> None:
    w = torch.randn(6, 21, generator=torch.Generator().manual_seed(1)) + 0.3
    method = RoundToNearest(bits=bits, symmetric=symmetric, group=group)
    rounded, step = method.rounded(w)
    slack = 1.0 if symmetric else 2.0  # the offset is rounded too
    assert ((w - rounded).abs() <= slack * step / 2 * (1 + 1e-4)).all()
    for unit in rounded[:, : group or 21]:
        assert len(unit.unique()) <= 2**bits
    zeroed = w.clone()
    zeroed[:, 3] = 0
    assert (method.rounded(zeroed)[0][:, 3] == 0).all()


def test_equals_fake_quantisation_of_torch() -> None:
    w = torch.randn(5, 16, generator=torch.Generator().manual_seed(4))
    rounded, step = RoundToNearest(bits=4).rounded(w)
    expected = torch.fake_quantize_per_channel_affine(
        w, step[:, 0].contiguous(), torch.zeros(5, dtype=torch.int32), 0, -8, 7
    )
    assert torch.allclose(rounded, expected, atol=1e-6)


def test_more_bits_and_finer_groups_err_less() -> None:
    w = torch.randn(64, 64, generator=torch.Generator().manual_seed(3))

    def error(**kw) -> float:
        return float((RoundToNearest(**kw).rounded(w)[0] - w).square().mean())

    by_bits = [error(bits=b) for b in (2, 3, 4, 6, 8)]
    assert by_bits == sorted(by_bits, reverse=True)
    coarse = [error(bits=4, per_channel=False), error(bits=4), error(bits=4, group=16)]
    assert coarse == sorted(coarse, reverse=True)


def test_transposed_convolutions_count_output_units() -> None:
    layer = nn.ConvTranspose2d(3, 4, 2)
    layer.weight.data[:, 1] *= 100
    step = RoundToNearest(bits=4)(layer)
    others = [0, 2, 3]
    gap = (step.weight - layer.weight)[:, others].abs().amax()
    assert float(gap) <= float(layer.weight[:, others].abs().amax()) / 14 * 1.001


def test_refusals() -> None:
    with pytest.raises(Unsupported, match="weights"):
        MagnitudePruning()(nn.ReLU())
    with pytest.raises(ConfigError):
        RoundToNearest(bits=1)
    with pytest.raises(ConfigError):
        MagnitudePruning(density=1.5)
