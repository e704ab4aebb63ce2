"""Nothing is left behind, however deep the module is hidden."""

from functools import partial

import torch
from torch import nn

from holdfast.core.digest import digest
from holdfast.core.quiet import modules_of, quiet


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def test_modes_buffers_gradients_and_random_state_return() -> None:
    model = net().train()
    model[0].weight.grad = torch.ones(4, 3)
    model[0].bias.requires_grad_(False)
    before, state = digest(model), torch.random.get_rng_state()
    with quiet(model):
        model(torch.randn(8, 3))
        model.eval()
        assert not any(p.requires_grad for p in model.parameters())
    assert digest(model) == before
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training and model[1].training
    assert torch.equal(model[0].weight.grad, torch.ones(4, 3))
    assert model[0].weight.requires_grad and not model[0].bias.requires_grad


def test_hidden_modules_are_found() -> None:
    model = net()

    def closure(x: torch.Tensor) -> torch.Tensor:
        return model(x)

    assert (
        modules_of(closure) == modules_of(partial(closure)) == modules_of(model.forward) == [model]
    )
    assert modules_of(lambda x: x) == []


def test_digest_sees_every_weight() -> None:
    model = net()
    before = digest(model)
    with torch.no_grad():
        model[3].bias[1] += 1e-6
    assert digest(model) != before
