"""Costs of failures against SciPy and simulation; filters against their identity."""

from __future__ import annotations

import torch
from scipy.stats import chi2

from holdfast.core.dice import Dice
from holdfast.measures.outputs.attack_cost import attack_cost, cost_interval, strictest
from holdfast.ops.statistics import clopper_pearson_upper
from holdfast.run.filtered import Filtered


def test_interval_is_the_formula_and_covers():
    low, high = cost_interval(120.0, 6)
    assert abs(low - 240 / chi2.ppf(0.975, 14)) < 1e-9
    assert abs(high - 240 / chi2.ppf(0.025, 12)) < 1e-9
    assert cost_interval(10.0, 0)[1] == float("inf")
    g = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((600,), 9.0), generator=g).tolist()
    covered = [a <= 100 / 9 <= b for a, b in (cost_interval(100.0, int(k)) for k in counts)]
    assert sum(covered) / len(covered) >= 0.95


def test_costs_count_attempts_that_were_given_up():
    found = attack_cost(torch.tensor([4.0, 10.0, 6.0]), torch.tensor([True, False, True]))
    assert found.per_failure == 10.0
    assert [r.name for r in found.readings()] == ["attack.success", "attack.per-failure"]
    none = attack_cost(torch.tensor([4.0]), torch.tensor([False]))
    assert len(none.readings()) == 1


def test_no_failure_among_n_bounds_the_rate_by_three_over_n():
    bound = clopper_pearson_upper(0, 1000, 0.05)
    assert abs(bound - (1 - 0.05 ** (1 / 1000))) < 1e-9 and abs(bound - 3 / 1000) < 1e-4


def test_the_strictest_threshold_turns_away_no_more_than_asked():
    fine = torch.tensor([0.3, 0.1, 0.2, 0.4, 0.5])
    for loss, kept in ((0.0, 5), (0.2, 4), (0.39, 4), (0.4, 3)):
        assert int((fine.double() < strictest(fine, loss)).sum()) == kept


def test_filtered_texts_obey_the_identity_of_rejection():
    def write(prompts, samples, dice):
        letters = dice.integers(10, (samples,)).tolist()
        return [[str(v) for v in row] for row in letters]

    def score(prompts, texts):
        return torch.tensor([int(t) / 10 for t in texts])

    prompts = ["p"] * 400
    texts = Filtered(write, score, 0.65, tries=50)(prompts, 5, Dice.of(400))
    flat = [int(t) for row in texts for t in row]
    assert max(flat) == 6
    bad = sum(v in (5, 6, 9) for v in flat) / len(flat)
    assert abs(bad - 2 / 7) < 4 * (2 / 7 * 5 / 7 / len(flat)) ** 0.5
    assert Filtered(write, score, -1.0, tries=2, otherwise="no")(["p"], 2, Dice.of(1)) == [
        ["no"] * 2
    ]
