"""Groups, lines of models, domains, rewordings: against scikit-learn, NumPy and hand examples."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import f1_score

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.data.low_shot import low_shot, low_shot_rows
from holdfast.measures.outputs.accuracy_line import AccuracyLine
from holdfast.measures.outputs.dilution import output_mixture, source_dilution
from holdfast.measures.outputs.domains import domain_drops
from holdfast.measures.outputs.fairness import macro_f1, rate_gaps
from holdfast.measures.outputs.groups import group_accuracy
from holdfast.measures.outputs.line import agreement_line, effective_robustness
from holdfast.measures.text.variants import cohens_d, cohens_h, drop_rate, variant_effect

G = torch.Generator().manual_seed(0)
Z = torch.randn(200, 3, generator=G, dtype=torch.float64)
Y = torch.where(
    torch.rand(200, generator=G) < 0.6, Z.argmax(1), torch.randint(3, (200,), generator=G)
)
GROUP = torch.randint(4, (200,), generator=G)


def test_group_accuracy_by_hand():
    found = group_accuracy(Z, Y, groups=GROUP)
    right = (Z.argmax(1) == Y).numpy()
    each = [right[GROUP.numpy() == g].mean() for g in range(4)]
    assert found.accuracy.tolist() == pytest.approx(each)
    assert (found.worst, found.gap) == pytest.approx((min(each), max(each) - min(each)))
    assert found.percentile(0.1) == pytest.approx(np.percentile(each, 10))
    assert found.adjusted == pytest.approx(np.mean(each))
    weights = torch.tensor([0.7, 0.1, 0.1, 0.1])
    assert group_accuracy(Z, Y, groups=GROUP, weights=weights).adjusted == pytest.approx(
        np.average(each, weights=weights.numpy()), abs=1e-6
    )
    average = found.readings()[0]
    assert average.value == pytest.approx(float((found.count * found.accuracy).sum() / 200))


def test_masks_are_groups_that_may_overlap():
    mask = torch.nn.functional.one_hot(GROUP, 4).bool()
    assert readings(group_accuracy(Z, Y, groups=mask)) == readings(
        group_accuracy(Z, Y, groups=GROUP)
    )
    mask[:, 0] = True
    both = group_accuracy(Z, Y, groups=mask)
    assert float(both.accuracy[0]) == pytest.approx(both.readings()[0].value)


def test_empty_small_and_unlabelled_groups():
    group = torch.where(GROUP == 2, 5, GROUP)  # 2 and 4 are empty
    group[:3] = 6
    found = group_accuracy(Z, Y, groups=group)
    assert found.accuracy[[2, 4]].isnan().all() and found.worst == found.worst
    assert any("fewer than 10" in f for r in readings(found) for f in r.flags)
    holes = Y.clone()
    holes[:100] = -100
    half = group_accuracy(Z, holes, groups=GROUP)
    assert half.accuracy.tolist() == pytest.approx(
        group_accuracy(Z[100:], Y[100:], groups=GROUP[100:]).accuracy.tolist()
    )
    one = group_accuracy(Z, Y, groups=GROUP * 0)
    assert (one.gap, one.worst) == (0.0, one.readings()[0].value)
    for bad in (GROUP[:5], GROUP - 4, GROUP.double()[None]):
        with pytest.raises(ShapeError):
            group_accuracy(Z, Y, groups=bad)
    with pytest.raises(ShapeError):
        group_accuracy(Z, torch.full_like(Y, -100), groups=GROUP)
    with pytest.raises(ConfigError):
        group_accuracy(Z, Y, groups=GROUP, weights=torch.ones(3))


def test_rates_and_f1():
    answer = Z.argmax(1)
    assert macro_f1(answer, Y) == pytest.approx(f1_score(Y, answer, average="macro"))
    a, y, s = (
        torch.tensor(v) for v in ([1, 1, 0, 0, 1, 0], [1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 1])
    )
    parity, odds = rate_gaps(a, y, s)
    assert parity == pytest.approx(0.0)  # both get a one half of the time
    assert odds == pytest.approx(1 / 3)  # of rows of class 1: two of three, and one of one


def test_a_line_is_found_exactly():
    a = torch.linspace(0.1, 0.95, 12).double()
    for scale in ("logit", "probit", "linear"):
        t = {"logit": torch.logit, "probit": torch.special.ndtri, "linear": lambda v: v}[scale]
        back = {"logit": torch.sigmoid, "probit": torch.special.ndtr, "linear": lambda v: v}[scale]
        b = back(0.7 * t(a) - (0.5 if scale != "linear" else 0.0))
        line = AccuracyLine.fit(a, b, scale)
        slope, start = np.polyfit(t(a).numpy(), t(b).numpy(), 1)
        assert line.weights.tolist() == pytest.approx([start, slope], abs=1e-9)
        assert line.r2 == pytest.approx(1.0)
        assert (
            float(effective_robustness(torch.stack([a, b], 1), scale=scale).above.abs().max())
            < 1e-6
        )


def test_the_judged_model_is_not_in_its_line():
    a = torch.linspace(0.2, 0.9, 9).double()
    b = (0.8 * a.logit() - 0.3 + 0.1 * torch.randn(9, generator=G).double()).sigmoid()
    pairs = torch.stack([a, b], 1)
    found = effective_robustness(pairs)
    slope, start = np.polyfit(a[1:].logit().numpy(), b[1:].logit().numpy(), 1)
    want = float(b[0]) - 1 / (1 + math.exp(-(start + slope * float(a[0].logit()))))
    assert float(found.above[0]) == pytest.approx(want, abs=1e-6)
    twice = torch.stack([a, a, b], 1)  # two plain accuracies that say the same
    assert torch.allclose(effective_robustness(twice).above, found.above, atol=1e-6)
    perfect = torch.cat([pairs, torch.tensor([[1.0, 0.0]]).double()])
    assert effective_robustness(perfect).above.isfinite().all()


def test_lines_refuse_what_is_no_accuracy():
    for bad in (
        torch.rand(2, 2),
        torch.rand(9),
        torch.rand(9, 2) * 100,
        torch.full((9, 2), torch.nan),
    ):
        with pytest.raises(ShapeError):
            effective_robustness(bad)
    with pytest.raises(ConfigError):
        effective_robustness(torch.rand(9, 2), scale="log")


def test_agreement_has_the_line_of_accuracy():
    g = torch.Generator().manual_seed(1)
    truth = torch.randint(2, (8000,), generator=g)
    skill = torch.linspace(0.6, 0.95, 8).double()
    worse = torch.special.ndtr(0.8 * torch.special.ndtri(skill))

    def answers(rate):
        hit = torch.rand(8, 8000, generator=g) < rate[:, None]
        return torch.where(hit, truth, 1 - truth)

    same = agreement_line(answers(skill), answers(skill))
    assert same.weights.tolist() == pytest.approx([0.0, 1.0], abs=0.05)
    assert agreement_line(answers(skill), answers(worse)).predict(torch.tensor([0.9]))[0] < 0.88


def test_dilution_of_lines_that_are_known():
    a = torch.linspace(0.5, 0.9, 10).double()
    better, worse, middle = (
        torch.stack([a, (a.logit() - gap).sigmoid()], 1) for gap in (0.2, 1.2, 0.7)
    )
    found = source_dilution({"good": better, "bad": worse}, middle)
    assert (found.best, found.worst, found.diluted) == ("good", "bad", True)
    want = float((middle[:, 1] - better[:, 1]).mean())
    assert found.below == pytest.approx(want, abs=1e-6)
    assert found.floor == pytest.approx(float((worse[:, 1] - better[:, 1]).mean()), abs=1e-6)
    above = source_dilution({"good": better, "bad": worse}, better + torch.tensor([0.0, 0.05]))
    assert not above.diluted
    with pytest.raises(ConfigError):
        source_dilution({"good": better}, middle)
    with pytest.raises(ShapeError):
        source_dilution({"good": better, "bad": worse}, middle[:0])
    z = {"a": Z, "b": -Z}
    assert torch.equal(output_mixture(z, {"a": 2.0}), Z)
    assert torch.allclose(output_mixture(z, {"a": 3.0, "b": 1.0}), Z / 2)
    with pytest.raises(ConfigError):
        output_mixture(z, {"a": -1.0})


def test_domain_drops_of_the_paper_sheet():
    found = domain_drops(torch.tensor([[0.9, 0.8], [0.7, 0.75]]))
    assert found.source[0, 1] == pytest.approx(0.1) and found.target[0, 1] == pytest.approx(-0.05)
    assert (found.scenario(0, 1), found.scenario(1, 0)) == ("observed", "classic")
    many = domain_drops(torch.rand(5, 5, generator=G))
    off = many.off
    assert float(many.source[off].mean()) == pytest.approx(
        float(many.target[off].mean()), abs=1e-12
    )
    assert sum(many.shares().values()) == 20 and len(many.rows()) == 20
    lenient = domain_drops(torch.tensor([[0.9, 0.8], [0.7, 0.75]]), tolerance=0.15)
    assert lenient.scenario(1, 0) == "unobserved"
    for bad in (torch.rand(2, 3), torch.rand(1, 1), torch.full((2, 2), torch.nan)):
        with pytest.raises(ShapeError):
            domain_drops(bad)
    with pytest.raises(ConfigError):
        domain_drops(torch.rand(2, 2), domains=("one",))


def test_cohens_h_and_d():
    p = torch.linspace(0, 1, 11).double()
    assert float(cohens_h(p[:1], p[-1:])) == pytest.approx(math.pi)
    assert float(cohens_h(torch.tensor(0.5), torch.tensor(0.6))) == pytest.approx(0.2014, abs=1e-4)
    assert torch.equal(cohens_h(p, p.flip(0)), -cohens_h(p.flip(0), p))
    a, b = torch.randn(30, generator=G), torch.randn(20, generator=G) + 1
    pooled = math.sqrt((29 * float(a.var()) + 19 * float(b.var())) / 48)
    assert cohens_d(a, b) == pytest.approx(float((b.mean() - a.mean()) / pooled), abs=1e-6)
    assert math.isnan(drop_rate(0.0, 0.2)) and drop_rate(0.5, 0.4) == pytest.approx(0.2)


def test_variants_by_hand():
    nan = float("nan")
    base = torch.tensor([1.0, 1.0, 0.0, 1.0])
    words = torch.tensor([[1, 1], [1, 0], [0, nan], [nan, nan]])
    found = variant_effect(base, words)
    assert len(found.base) == 3 and "1 questions" in found.flags[0]
    h = 2 * math.asin(math.sqrt(0.5)) - math.pi
    assert found.effect.tolist() == pytest.approx([0.0, h, 0.0])
    assert (found.same.tolist(), found.all_right.tolist()) == ([1, 0, 1], [1, 0, 0])
    assert found.overall == pytest.approx(
        float(cohens_h(torch.tensor(2 / 3), torch.tensor(0.5))), abs=1e-6
    )
    for bad in (words[:2], words + 1, words * nan):
        with pytest.raises(ShapeError):
            variant_effect(base, bad)


def test_low_shot_rows_are_nested_and_balanced():
    y = torch.tensor([0] * 30 + [1] * 7 + [-100] * 5)
    few, more = (set(low_shot_rows(y, shots=k).tolist()) for k in (3, 10))
    assert few < more and len(few) == 6 and len(more) == 17
    share = low_shot_rows(y, share=0.1)
    assert y[share].bincount().tolist() == [3, 1]
    other = low_shot_rows(y, shots=3, dice=Dice.of(42, 1))
    assert set(other.tolist()) != few
    for bad in ({}, {"shots": 1, "share": 0.5}, {"shots": -1}):
        with pytest.raises(ConfigError):
            low_shot_rows(y, **bad)


def test_low_shot_reversals_by_hand():
    a = torch.linspace(0.3, 0.9, 6).double()
    standard = torch.stack([a, a], 1)  # the line is the diagonal
    full = torch.tensor([[[0.8, 0.7], [0.8, 0.9]], [[0.8, 0.7], [0.9, 0.8]]])
    few = torch.tensor([[[0.5, 0.5], [0.6, 0.4]], [[0.5, 0.5], [0.5, 0.6]]])
    found = low_shot({"few": few, "full": full}, standard)
    assert found.effective["full"].tolist() == pytest.approx([0.1, -0.1], abs=1e-6)
    assert found.relative["few"].tolist() == pytest.approx([-0.1, 0.1])
    assert (found.helps("full").tolist(), found.reversed("few").tolist()) == ([1, 0], [1, 0])
    with pytest.raises(ConfigError):
        low_shot({"few": few}, standard)
    with pytest.raises(ShapeError):
        low_shot({"full": full[:, 0]}, standard)


def test_spread_of_the_worst_group_covers_the_truth():
    covered = 0
    for seed in range(40):
        g = torch.Generator().manual_seed(seed)
        right = torch.rand(300, generator=g) < torch.tensor([0.9, 0.6, 0.8]).repeat(100)
        z = torch.where(right[:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        found = group_accuracy(z, torch.zeros(300).long(), groups=torch.arange(300) % 3)
        reading = found.readings()[1]
        covered += reading.low <= 0.6 <= reading.high
    assert covered >= stats.binom.ppf(0.001, 40, 0.93)
