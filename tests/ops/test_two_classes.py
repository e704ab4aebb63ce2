"""Closed forms of two classes against draws, scipy and a search of thresholds."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from holdfast.ops.two_classes import attacked_mean, best_rule, class_accuracies

MEAN = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.1], dtype=torch.float64)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_normal_accuracies_match_draws(ratio: float, radius: float) -> None:
    w, threshold = best_rule(MEAN, 1.0, ratio, radius)
    up, down = class_accuracies((w, threshold), MEAN, 1.0)
    noise = torch.randn(300_000, 5, generator=torch.Generator().manual_seed(0)).double()
    assert abs(float(((MEAN + noise) @ w > threshold).double().mean()) - up) < 3e-3
    assert abs(float(((noise - MEAN) @ w <= threshold).double().mean()) - down) < 3e-3


def test_disparity_grows_only_where_classes_are_imbalanced() -> None:
    for ratio in (1.0, 2.0, 5.0):
        plain, robust = (class_accuracies(best_rule(MEAN, 1.0, ratio, r), MEAN, 1.0)
                         for r in (0.0, 0.3))  # fmt: skip
        grown = abs(np.subtract(*robust)) - abs(np.subtract(*plain))
        assert grown > 0.01 if ratio > 1 else abs(grown) < 1e-12
        assert sum(robust) < sum(plain)
    assert class_accuracies(best_rule(MEAN, 1.0, 2.0, 1.5), MEAN, 1.0) == (0.0, 1.0)


def test_cauchy_accuracies_are_scipys() -> None:
    rule = (attacked_mean(MEAN, 0.3), 0.4)
    up, down = class_accuracies(rule, MEAN, 0.5, tail=1.0)
    spread = 0.5 * float(rule[0].abs().sum())
    signal = float(rule[0] @ MEAN)
    assert math.isclose(up, stats.cauchy.cdf((signal - 0.4) / spread))
    assert math.isclose(down, stats.cauchy.cdf((signal + 0.4) / spread))
    with pytest.raises(ValueError, match="tail"):
        class_accuracies(rule, MEAN, 0.5, tail=1.5)


def test_the_threshold_is_the_best_one() -> None:
    for radius in (0.0, 0.3):
        w, threshold = best_rule(MEAN, 1.2, 3.0, radius)
        seen = attacked_mean(MEAN, radius)  # what the adversary leaves of the mean

        def right(t: float, w: torch.Tensor = w, seen: torch.Tensor = seen) -> float:
            up, down = class_accuracies((w, t), seen, 1.2)
            return (up + 3 * down) / 4

        best = max((right(threshold + d), d) for d in np.linspace(-0.5, 0.5, 101))
        assert abs(best[1]) < 0.02
