"""Hooks against closed forms, naive twins and torch."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.hooks.clip import AdaptiveClip, ClipNorm
from holdfast.hooks.early import EarlyStopping
from holdfast.hooks.ema import EMA
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun


def net(dtype: torch.dtype = torch.float64) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).to(dtype)


def data() -> Batches:
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batches(x=x, y=(x[:, 0] > 0.5).long(), size=8)


def run_of(model: nn.Module) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(1), 1)


def test_ema_is_the_weighted_sum_and_torchs_after_its_start() -> None:
    model, hook = nn.Linear(2, 1, bias=False).double(), EMA(decay=0.8)
    run, seen = run_of(model), []
    for value in (1.0, 4.0, -2.0, 0.5):
        model.weight.data.fill_(value)
        hook.stepped(run)
        seen.append(value)
    expected = 0.2 * sum(0.8 ** (3 - s) * v for s, v in enumerate(seen)) / (1 - 0.8**4)
    assert abs(float(hook.averaged(run)["weight"][0, 0]) - expected) < 1e-12
    twin_model = nn.Linear(2, 1, bias=False).double()
    twin_model.weight.data.zero_()
    twin = AveragedModel(twin_model, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    twin.update_parameters(twin_model)
    for value in seen:
        twin_model.weight.data.fill_(value)
        twin.update_parameters(twin_model)
    corrected = twin.module.weight[0, 0] / (1 - 0.8**4)
    assert abs(float(corrected.detach()) - expected) < 1e-12
    hook.end(run)
    assert abs(float(model.weight[0, 0]) - expected) < 1e-12


def test_statistics_of_the_mean_are_averaged_kept_or_estimated_anew() -> None:
    """On one batch of all rows the fresh ones are the mean and variance of what comes in."""
    rows = replace(data(), size=24)
    ends = {}
    for kind in ("mean", "last", "fresh"):
        model = normed()
        hook = EMA(decay=0.9, statistics=kind, rows=rows if kind == "fresh" else None)
        live = EMA(decay=0.0, swap=False)
        rate = Later("torch:SGD", lr=0.5)
        plan = Training(epochs=3, optimizer=rate, schedule="constant", hooks=(live, hook))
        run = plan(model, data())
        ends[kind] = model, live.averaged(run)
    for kind in ("last", "fresh"):  # weights are the same mean in each case
        pairs = zip(ends[kind][0].parameters(), ends["mean"][0].parameters(), strict=True)
        assert all(torch.equal(p, q) for p, q in pairs)
    model, last = ends["last"]
    assert torch.equal(model[1].running_var, last["1.running_var"])
    assert not torch.equal(model[0].weight, last["0.weight"])
    fresh = ends["fresh"][0]
    with torch.no_grad():
        into = fresh[0](rows.x)
    assert torch.allclose(fresh[1].running_mean, into.mean(0), atol=1e-12)
    assert torch.allclose(fresh[1].running_var, into.var(0), atol=1e-12)
    assert not torch.allclose(ends["mean"][0][1].running_var, into.var(0), atol=1e-4)
    with pytest.raises(ConfigError, match="rows"):
        Training(epochs=1, hooks=(EMA(statistics="fresh"),))(normed(), data())


def normed() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2)
        ).double()


def test_ema_of_half_precision_weights_moves() -> None:
    model, hook = nn.Linear(1, 1, bias=False).bfloat16(), EMA(decay=0.9999)
    run = run_of(model)
    model.weight.data.fill_(1.0)
    hook.stepped(run)
    model.weight.data.fill_(2.0)
    for _ in range(200):
        hook.stepped(run)
    mean = run.memory(hook)["means"]["weight"]
    assert mean.dtype == torch.float32 and abs(float(mean) - (1e-4 + 0.02 * 0.99 * 2)) < 1e-3


def test_clip_norm_is_torchs_and_keeps_short_gradients() -> None:
    ours, theirs = net(), net()
    for model in (ours, theirs):
        model(data().x).sum().backward()
    before = [p.grad.clone() for p in ours.parameters()]
    ClipNorm(limit=1e6).gradients(run_of(ours))
    assert all(torch.equal(p.grad, b) for p, b in zip(ours.parameters(), before, strict=True))
    ClipNorm(limit=0.5).gradients(run_of(ours))
    nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-5)
    ours[0].weight.grad[0, 0] = torch.nan
    ClipNorm().gradients(run_of(ours))
    assert all((p.grad == 0).all() for p in ours.parameters())


def test_adaptive_clip_is_its_naive_twin() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 2))
    model = model.double()
    model[2].weight.data[1] = 0
    model(torch.rand(5, 2, 4, 4).double()).square().sum().backward()
    before = {n: p.grad.clone() for n, p in model.named_parameters()}
    AdaptiveClip(limit=0.05, floor=1e-3).gradients(run_of(model))
    for name, p in model.named_parameters():
        expected = before[name].clone()
        if name.startswith("3"):
            assert torch.equal(p.grad, expected)
            continue
        units = [(p, expected)] if p.dim() == 1 else list(zip(p, expected, strict=True))
        for w, g in units:
            limit = 0.05 * max(float(w.norm()), 1e-3)
            if float(g.norm()) > limit:
                g *= limit / float(g.norm())
        assert torch.allclose(p.grad, expected, rtol=1e-9)


def test_early_stopping_restores_the_best_epoch() -> None:
    held = data()
    model = net()
    hook = EarlyStopping(patience=2, held=held)
    values, states = [], []

    class Watch(EMA):
        def epoch(self, run) -> None:
            values.append(hook.value(run))
            states.append({k: v.clone() for k, v in run.model.state_dict().items()})

    rough = Later("torch:SGD", lr=8.0)
    run = Training(
        optimizer=rough, epochs=40, schedule="constant", hooks=(Watch(swap=False), hook)
    )(model, data())
    best = min(range(len(values)), key=values.__getitem__)
    assert run.stopped == "early" and len(values) == best + 3 == run.epoch
    for name, value in model.state_dict().items():
        assert torch.equal(value, states[best][name])


def test_watching_held_out_rows_changes_nothing() -> None:
    plain, watched = net(), net()
    plan = Training(epochs=3, schedule="constant", optimizer=Later("torch:SGD", lr=0.01))
    plan(plain, data())
    replace(plan, hooks=(EarlyStopping(patience=50, held=data()),))(watched, data())
    for p, q in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(p, q)
