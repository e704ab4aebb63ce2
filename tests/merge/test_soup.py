"""Soups against means by hand and a naive greedy twin."""

from itertools import permutations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.merge.soup import accuracy, greedy_soup, uniform_soup


def states(n: int = 4):
    g = torch.Generator().manual_seed(2)
    made = []
    for i in range(n):
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
        state = {
            k: torch.randn(v.shape, generator=g, dtype=v.dtype).abs() if v.is_floating_point()
            else v + i for k, v in net.state_dict().items()
        }  # fmt: skip
        made.append(state)
    return net, made


def rows() -> Batches:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return Batches(x=x, y=(x[:, 0] > 0).long(), size=25)


def test_uniform_is_the_mean_in_any_order() -> None:
    _, made = states()
    soup = uniform_soup(made)
    for name in ("0.weight", "1.running_var"):
        by_hand = (made[0][name] + made[1][name] + made[2][name] + made[3][name]) / 4
        assert torch.allclose(soup[name], by_hand, atol=1e-14)
    assert int(soup["1.num_batches_tracked"]) == 0
    for order in permutations(range(4)):
        again = uniform_soup([made[i] for i in order])
        assert torch.equal(again["0.weight"], soup["0.weight"])
    copies = uniform_soup([made[0]] * 3)
    assert all(torch.equal(copies[k], made[0][k]) for k in copies)


def test_greedy_is_its_naive_twin_and_never_worse_than_the_best() -> None:
    net, made = states(6)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    soup = greedy_soup(made, model=net, batches=rows())

    def right(state) -> float:
        other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double().eval()
        other.load_state_dict(state)
        return float((other(rows().x).argmax(1) == rows().y).double().mean())

    ranked = sorted(made, key=right, reverse=True)
    kept = [ranked[0]]
    for state in ranked[1:]:
        trial = [*kept, state]
        mixed = {k: sum(s[k] for s in trial) / len(trial) for k in state}
        now = {k: sum(s[k] for s in kept) / len(kept) for k in state}
        if right(mixed) >= right(now):
            kept = trial
    for name, w in soup.items():
        if w.is_floating_point():
            assert torch.allclose(w, sum(s[name] for s in kept) / len(kept), atol=1e-12)
    assert accuracy(net, soup, rows()) >= max(accuracy(net, s, rows()) for s in made)
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_refusals() -> None:
    _, made = states(1)
    with pytest.raises(Unsupported, match="held-out"):
        greedy_soup(made)
    with pytest.raises(ConfigError, match="no states"):
        uniform_soup([])
    with pytest.raises(ShapeError, match="differ"):
        uniform_soup([made[0], {"other": torch.zeros(1)}])
