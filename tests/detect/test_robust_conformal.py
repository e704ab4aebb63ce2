"""Robust conformal sets against the exact linear world, the worst shift and their reduction."""

import pytest
import torch
from scipy.stats import norm
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.detect.averaged import Averaged
from holdfast.detect.robust_conformal import RobustConformal
from holdfast.objectives.conformal import RobustConformalTraining
from holdfast.ops.conformal import conformal_threshold, soft_quantile
from holdfast.run.training import TrainingRun

SIGMA, RADIUS = 0.5, 0.25


def step(x):
    """Two classes with certain answers, by the sign of the first coordinate."""
    side = torch.where(x[:, :1] > 0, 60.0, -60.0)
    return torch.cat([-side, side], 1)


def rows(n, seed):
    """Points around two classes, so that the step is wrong now and then."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=g)
    x = torch.randn(n, 3, generator=g, dtype=torch.float64) * 0.4
    x[:, 0] += (2 * y - 1) * 0.6
    return x, y


def worst(x, y):
    """The step towards the wrong class: for this world the worst change of any kind."""
    moved = x.clone()
    moved[:, 0] -= (2 * y - 1) * RADIUS
    return moved


def test_the_mean_of_a_step_is_the_normal_distribution_and_its_slope_is_attained():
    x, y = rows(30, 0)
    rule = RobustConformal(sigma=SIGMA, samples=40000)
    mean = Averaged(step, rule, None, 40000)(x, Dice.of(30))[0]
    want = torch.as_tensor(norm.cdf(-x[:, 0].numpy() / SIGMA))
    assert (mean[:, 1] - want).abs().max() < 0.012
    moved = Averaged(step, rule, None, 40000)(worst(x, y), Dice.of(30, 1))[0]
    own = [m.gather(1, y[:, None]).squeeze(1) for m in (mean, moved)]
    middle = (own[0] > 0.05) & (own[1] < 0.95)
    slope = (torch.special.ndtri(own[1]) - torch.special.ndtri(own[0]))[middle]
    assert middle.sum() > 5
    assert (slope - RADIUS / SIGMA).abs().max() < 0.06


@pytest.mark.parametrize("transform", ["none", "ranks"])
@pytest.mark.parametrize("bound", ["bernstein", "hoeffding"])
def test_coverage_holds_under_the_worst_shift(transform, bound):
    """Averaged over calibrations; plain sets of the same threshold do not keep the promise."""
    held, plain = [], []
    for seed in range(25):
        x, y = rows(400, seed)
        rule = RobustConformal(sigma=SIGMA, radius=RADIUS, samples=128, transform=transform,
                               bound=bound, alpha=0.2, seed=seed)  # fmt: skip
        found = rule.fit(step, Batches(x=x[:200], y=y[:200]))
        moved = worst(x[200:], y[200:])
        held.append(found.sets(moved).gather(1, y[200:, None]).double().mean())
        mean = found.averaged(moved, Dice.of(200, seed))[0]
        plain.append((mean.gather(1, y[200:, None]) <= found.limit).double().mean())
    assert torch.stack(held).mean() > 0.8 - 0.01
    assert torch.stack(plain).mean() < 0.75


def test_without_radius_and_error_it_is_split_conformal_on_the_same_means():
    x, y = rows(120, 3)
    rule = RobustConformal(sigma=SIGMA, radius=0.0, samples=64, transform="none", beta=1e-9)
    found = rule.fit(step, Batches(x=x[:60], y=y[:60]))
    mean, variance, _ = found.averaged(
        x[:60], Dice(0, torch.arange(60), "robust-conformal/trusted")
    )
    own = mean.gather(1, y[:60, None]).squeeze(1)
    assert found.limit == conformal_threshold(own, 0.1 - 2e-9)
    object.__setattr__(rule, "beta", 1 - 1e-12)  # bounds that fail always are no bounds
    object.__setattr__(rule, "bound", "hoeffding")
    new = found.averaged(x[60:], Dice.of(60))[0]
    assert torch.equal(found._kept(new, variance), new <= found.limit + float(rule.slack()) * 2)


def test_bounds_fail_no_more_often_than_said():
    """Means of 64 draws of a rare and a frequent coin: exceedances by more than the slack."""
    g = torch.Generator().manual_seed(5)
    for p in (0.02, 0.5):
        draws = (torch.rand(20000, 64, generator=g, dtype=torch.float64) < p).double()
        rule = RobustConformal(samples=64, beta=0.02)
        over = draws.mean(1) - p
        assert (over > rule.slack(draws.var(1))).double().mean() <= 0.02
        assert (over > rule.slack()).double().mean() <= 0.02
        assert (over > rule.slack() / 3).double().mean() > 0.02 or p < 0.1


def test_few_rows_and_broken_outputs_give_full_sets():
    x, y = rows(60, 4)
    rule = RobustConformal(sigma=SIGMA, radius=RADIUS, samples=64)
    assert bool(rule.fit(step, Batches(x=x[:12], y=y[:12])).sets(x).all())
    found = rule.fit(step, Batches(x=x, y=y))
    broken = x[:2].clone()
    broken[0] = torch.nan
    assert bool(RobustConformal.fit(rule, lambda v: step(v) + 0 * v[:, 1:], Batches(x=x, y=y))
                .sets(broken)[0].all())  # fmt: skip
    assert found.sets(x[:0]).shape == (0, 2)
    for bad in ({"beta": 0.05}, {"samples": 1}):
        with pytest.raises(ConfigError, match="beta"):
            RobustConformal(**bad).fit(step, Batches(x=x, y=y))


def test_the_soft_quantile_is_the_formula_and_near_the_hard_one():
    from scipy.stats.mstats import hdquantiles

    v = torch.randn(41, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for share in (0.1, 0.5, 0.93):
        want = float(hdquantiles(v.numpy(), [share])[0])
        assert float(soft_quantile(v, share)) == pytest.approx(want, abs=1e-9)
    v.requires_grad_()
    soft_quantile(v, 0.3).backward()
    assert bool((v.grad >= 0).all())
    assert float(v.grad.sum()) == pytest.approx(1)


def test_the_loss_of_training_is_the_formula():
    g = torch.Generator().manual_seed(1)
    layer = nn.Linear(3, 4).double()
    x = torch.rand(8, 3, generator=g, dtype=torch.float64)
    y = torch.arange(8) % 4
    method = RobustConformalTraining(sigma=0.3, radius=0.15, copies=3, alpha=0.25, weight=0.5)
    batch = Batches(x=x, y=y).whole
    run = TrainingRun(layer, nn.ModuleDict(), Dice(0, batch.index), 1)
    run.own([method])
    got = method(run, batch)
    noise = 0.3 * Dice(0, batch.index).spawn("noise").normal((3, 3), dtype=torch.float64)
    p = layer(x[:, None] + noise).softmax(-1).mean(1)
    q = torch.special.ndtri(p)
    level = soft_quantile(q[torch.arange(4), y[:4]], 0.25) - 0.5
    c = ((q[4:] - level) / 0.1).sigmoid()
    want = 1 - c[torch.arange(4), y[4:]].mean() + 0.5 * (c.sum(1) - 1).clamp(min=0).mean()
    assert got.shape == (8,)
    assert torch.allclose(got, (want + 1e-8).log())
    alone = TrainingRun(layer, nn.ModuleDict(), Dice.of(1), 1)
    one = method(alone, batch.take(slice(0, 1)))
    assert bool(one.isfinite().all())
