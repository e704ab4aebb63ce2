"""Conformal sets against exact coverage, bare formulas and enumeration."""

import pytest
import torch
from scipy.stats import binom

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.row_keys import row_keys
from holdfast.detect.conformal import Conformal
from holdfast.detect.conformal_band import Band
from holdfast.detect.conformal_tuning import tuned
from holdfast.measures.outputs.sets import set_coverage
from holdfast.run.guard import Guard

G = torch.Generator().manual_seed(0)


def identity(x):
    return x


def world(n, seed, classes=6):
    """Logits, and labels drawn from a sharper distribution than they say."""
    g = torch.Generator().manual_seed(seed)
    z = 1.5 * torch.randn(n, classes, generator=g, dtype=torch.float64)
    return z, torch.multinomial((1.4 * z).softmax(1), 1, generator=g).squeeze(1)


@pytest.mark.parametrize("rule", ["lac", "aps", "raps"])
def test_strangeness_is_the_formula(rule):
    z, _ = world(40, 1)
    method = Conformal(strangeness=rule, penalty=0.2, free_ranks=2)
    u = torch.rand(40, generator=G, dtype=torch.float64)
    got = method.of(z, u)
    for row in range(40):
        p = z[row].softmax(0).tolist()
        for k in range(6):
            ahead = [q for q in p if q > p[k]]
            want = 1 - p[k] if rule == "lac" else sum(ahead) + float(u[row]) * p[k]
            if rule == "raps":
                want += 0.2 * max(0, len(ahead) + 1 - 2)
            assert float(got[row, k]) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("rule", ["lac", "aps", "raps"])
def test_coverage_is_exact(rule):
    """600 calibrations with 29 rows at alpha 0.1: coverage is 27 / 30, no more, no less."""
    rates = []
    for seed in range(600):
        z, y = world(29 + 200, 100 + seed)
        found = Conformal(strangeness=rule).fit(identity, Batches(x=z[:29], y=y[:29]))
        held = found.sets(z[29:]).gather(1, y[29:, None])
        rates.append(held.double().mean())
    rate = torch.stack(rates)
    assert abs(float(rate.mean()) - 27 / 30) < 4 * float(rate.std()) / 600**0.5
    assert rate.std() < 0.08


def test_sets_that_are_not_randomized_cover_more():
    z, y = world(2000, 5)
    part = Batches(x=z[:1000], y=y[:1000])
    plain = Conformal(strangeness="aps", randomized=False).fit(identity, part).sets(z[1000:])
    drawn = Conformal(strangeness="aps").fit(identity, part).sets(z[1000:])
    assert plain.sum() > drawn.sum()


def test_too_few_rows_give_full_sets():
    z, y = world(50, 2)
    assert bool(Conformal().fit(identity, Batches(x=z[:8], y=y[:8])).sets(z).all())
    assert not bool(Conformal().fit(identity, Batches(x=z[:9], y=y[:9])).sets(z).all())
    assert bool(Conformal().fit(identity, Batches(x=z[:0], y=y[:0])).sets(z).all())


def test_by_class_keeps_the_promise_in_every_class():
    """Class 0 is hard: one threshold misses it often, one per class does not."""
    z, _ = world(12000, 3, classes=3)
    y = torch.multinomial(z.softmax(1), 1, generator=G).squeeze(1)
    z[:, 0] -= 1.5
    part = Batches(x=z[:6000], y=y[:6000])
    rates = {}
    for by_class in (False, True):
        sets = Conformal(by_class=by_class).fit(identity, part).sets(z[6000:])
        rows = y[6000:] == 0
        rates[by_class] = (int(sets[rows, 0].sum()), int(rows.sum()))
    assert binom.cdf(*rates[True], 0.9) > 1e-3
    assert rates[False][0] / rates[False][1] < 0.8
    few = Batches(x=z[:40], y=torch.cat([torch.zeros(3), torch.ones(37)]).long())
    sets = Conformal(by_class=True).fit(identity, few).sets(z)
    assert bool(sets[:, 0].all())
    assert bool(sets[:, 2].all())
    assert not bool(sets[:, 1].all())


def test_draws_belong_to_rows_whatever_the_batch():
    z, y = world(60, 4)
    found = Conformal(strangeness="aps").fit(identity, Batches(x=z[:40], y=y[:40], size=7))
    order = torch.randperm(60, generator=G)
    assert torch.equal(found.sets(z)[order], found.sets(z[order]))
    keys = row_keys(z)
    assert len(keys.unique()) == 60
    assert torch.equal(row_keys({"a": z})[order], row_keys({"a": z[order]}))
    assert len(row_keys(["a", "b", "a"]).unique()) == 2
    assert row_keys(torch.tensor([[1, 2], [2, 1]])).unique().numel() == 2
    assert torch.equal(row_keys(torch.zeros(1, 2)), row_keys(-torch.zeros(1, 2)))


def test_what_is_not_finite_gets_the_full_set_and_no_trust():
    z, y = world(40, 6)
    found = Conformal().fit(identity, Batches(x=z, y=y))
    bad = z[:2].clone()
    bad[0, 1] = torch.nan
    assert bool(found.sets(bad)[0].all())
    assert found(bad)[0] == torch.inf
    assert found(bad, torch.tensor([0, 0]))[0] == torch.inf
    assert found(z, y).shape == (40,)
    with pytest.raises(Unsupported, match="logits"):
        found.sets(z[:, :, None])


def test_raps_is_tuned_to_smaller_sets_than_aps():
    g = torch.Generator().manual_seed(7)
    z = torch.randn(3000, 40, generator=g, dtype=torch.float64)
    y = torch.randint(40, (3000,), generator=g)
    z[torch.arange(3000), y] += 3.5
    parts = [Batches(x=z[i : i + 1000], y=y[i : i + 1000]) for i in (0, 1000, 2000)]
    rule = tuned(identity, parts[0])
    sizes = {}
    for name, method in {"aps": Conformal(strangeness="aps"), "raps": rule}.items():
        sets = method.fit(identity, parts[1]).sets(parts[2].x)
        record = set_coverage(sets, parts[2].y).readings()
        assert record[0].high >= 0.9
        sizes[name] = record[1].value
    assert rule.strangeness == "raps"
    assert sizes["raps"] < 0.8 * sizes["aps"]


def test_a_guard_answers_with_these_sets():
    z, y = world(80, 8)
    part = Batches(x=z[:40], y=y[:40])
    found = Conformal().fit(identity, part)
    guard = Guard.calibrate(identity, found, part, alarms=0.1, sets=found.sets)
    verdict = guard(z[40:])
    assert torch.equal(verdict.set, found.sets(z[40:]))


def test_the_band_covers_exactly_and_shrinks_where_it_was_too_wide():
    rates, margins = [], []
    for seed in range(400):
        g = torch.Generator().manual_seed(seed)
        y = torch.randn(19 + 300, generator=g, dtype=torch.float64)
        part = Batches(x=torch.zeros(19, 1), y=y[:19])
        band = Band.calibrate(lambda x: torch.tensor([[-9.0, 9.0]]).repeat(len(x), 1), part)
        low, high = band(torch.zeros(300, 1))
        rates.append(((low <= y[19:]) & (y[19:] <= high)).double().mean())
        margins.append(band.margin)
    rate = torch.stack(rates)
    assert abs(float(rate.mean()) - 0.9) < 4 * float(rate.std()) / 20
    assert max(margins) < -5
    few = Band.calibrate(lambda x: torch.zeros(len(x), 2), part.take(slice(0, 5)))
    assert few(torch.zeros(1, 1))[1] == torch.inf
    with pytest.raises(Unsupported, match="band"):
        Band.calibrate(lambda x: torch.zeros(len(x), 3), part)


def test_coverage_by_size_and_class_is_counted_by_hand():
    sets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).bool()
    found = {r.name: r for r in set_coverage(sets, torch.tensor([0, 2, 1, 2, -100])).readings()}
    assert found["sets.coverage"].value == 0.5
    assert found["sets.size"].value == 1.5
    assert found["sets.empty"].value == 0.25
    assert found["sets.coverage.size_to_1"].value == 0.5
    assert found["sets.coverage.size_to_3"].value == 0.5
    assert found["sets.coverage.worst_class"].value == 0
    with pytest.raises(ShapeError):
        set_coverage(sets.double(), torch.zeros(5))
    with pytest.raises(ShapeError):
        set_coverage(sets, torch.full((5,), -100))
