"""Soups against means by hand and a naive greedy twin."""

import copy
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.merge.soup import accuracy, greedy_soup, uniform_soup
from holdfast.run.loop import Training
from holdfast.run.restated import restated


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


def apart() -> tuple[nn.Sequential, list, Batches]:
    """Four nets from starts of their own: units of their mean vary less than they do."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=g, dtype=torch.float64)
    rows = Batches(x=x, y=(x[:, :3].sum(1) > 0).long(), size=100)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2)
        ).double()
        made = []
        for _ in range(4):
            model[0].reset_parameters()
            model[1].reset_running_stats()
            Training(epochs=8)(model, rows)
            made.append({k: v.detach().clone() for k, v in model.state_dict().items()})
    return model, made, rows


def test_fresh_statistics_are_torchs_and_mend_a_soup_of_states_far_apart() -> None:
    model, made, rows = apart()
    plain = uniform_soup(made, model=model, batches=rows)
    fresh = uniform_soup(made, model=model, batches=rows, statistics="fresh")
    twin = copy.deepcopy(model)
    twin.load_state_dict(plain)
    update_bn([b.x for b in rows.draw(Dice.of(0, stream="restated"))], twin)
    for name, value in twin.state_dict().items():
        assert torch.allclose(fresh[name], value, atol=1e-12), name
    with torch.no_grad():
        spread = plain["0.weight"] @ rows.x.T  # what comes in varies less than the mean says
    assert (spread.var(1) < plain["1.running_var"]).all()
    greedy = greedy_soup(made, model=model, batches=rows, statistics="fresh")
    singles = [restated(model, state, rows) for state in made]
    best = max(accuracy(model, state, rows) for state in singles)
    assert accuracy(model, greedy, rows) >= best


def test_estimating_anew_ignores_dropout_labels_order_and_lone_rows() -> None:
    rows = Batches(x=torch.rand(9, 3).double(), y=torch.full((9,), -100), size=4)
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    state, before = net.state_dict(), torch.get_rng_state()
    first, again = restated(net, state, rows), restated(net, state, rows)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert torch.equal(before, torch.get_rng_state()) and net.training
    assert int(first["2.num_batches_tracked"]) == 2
    whole = restated(net, state, replace(rows, size=9))
    into = net[1](rows.x).detach()
    assert torch.allclose(whole["2.running_mean"], into.mean(0), atol=1e-12)
    assert torch.allclose(whole["2.running_var"], into.var(0), atol=1e-12)
    with pytest.raises(Unsupported, match="two rows"):
        restated(net, state, rows.take(slice(0, 1)))
    plain = nn.Linear(3, 2).double()
    kept = restated(plain, plain.state_dict(), rows.take(slice(0, 0)))
    assert torch.equal(kept["weight"], plain.weight)


def test_refusals() -> None:
    _, made = states(1)
    with pytest.raises(Unsupported, match="held-out"):
        greedy_soup(made)
    with pytest.raises(Unsupported, match="rows"):
        uniform_soup(made, statistics="fresh")
    with pytest.raises(ConfigError, match="no states"):
        uniform_soup([])
    with pytest.raises(ShapeError, match="differ"):
        uniform_soup([made[0], {"other": torch.zeros(1)}])
