"""Lipschitz training and balanced modalities against their formulas."""

import torch
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.layers.fusion import TwoTowers
from holdfast.layers.lipschitz import MinMax
from holdfast.losses.lipschitz_margin import adaptive_margins, bottom, with_bottom
from holdfast.objectives.lipschitz import GlobalRobustness, slopes
from holdfast.objectives.modalities import ModalityBalance, weakest
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import L2

G = torch.Generator().manual_seed(0)
Z = torch.randn(6, 4, generator=G, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 3, 0, 1])


def random_slopes() -> torch.Tensor:
    s = torch.rand(4, 4, generator=G, dtype=torch.float64) + 0.5
    return s + s.T


def test_the_bottom_logit_is_the_largest_that_another_class_can_reach() -> None:
    s = random_slopes()
    found = bottom(Z, s, 0.3)
    for row in range(6):
        j = int(Z[row].argmax())
        assert float(found[row]) == max(
            float(Z[row, i] + 0.3 * s[j, i]) for i in range(4) if i != j
        )


def test_the_divergence_is_minus_the_log_of_what_is_left_to_the_classes() -> None:
    more = with_bottom(Z, random_slopes(), 0.3)
    p, q = Z.softmax(1), more.softmax(1)
    kl = (p * (p / q[:, :4]).log()).sum(1)
    assert torch.allclose(kl, more.logsumexp(1) - Z.logsumexp(1), atol=1e-12)
    assert torch.allclose(kl, -(1 - q[:, 4]).log(), atol=1e-12)


def test_adaptive_margins_stop_where_a_class_draws_level() -> None:
    s, radius = random_slopes(), 0.2
    found = adaptive_margins(Z, Y, s, radius)
    for row in range(6):
        y = int(Y[row])
        for i in range(4):
            gap, reach = float(Z[row, y] - Z[row, i]), radius * float(s[y, i])
            share = min(max(gap / reach, 0.01), 1.0)
            expected = 0.0 if i == y else share * reach - gap
            assert abs(float(found[row, i]) - expected) < 1e-12


def test_slopes_are_products_of_norms_and_flow_into_the_weights() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 6), MinMax(), nn.Linear(6, 3)).double()
    found = slopes(model, torch.zeros(1, 5, dtype=torch.float64), 200, {})
    w, v = model[0].weight, model[2].weight
    apart = torch.cdist(v, v, compute_mode="donot_use_mm_for_euclid_dist")
    exact = torch.linalg.svdvals(w)[0] * apart
    assert torch.allclose(found, exact, atol=1e-9)
    (slope,) = torch.autograd.grad(found[0, 1], w, retain_graph=True)
    (true,) = torch.autograd.grad(exact[0, 1], w)
    assert torch.allclose(slope, true, atol=1e-6)


def test_emma_at_radius_zero_is_plain_training() -> None:
    model = nn.Sequential(nn.Linear(4, 6), MinMax(), nn.Linear(6, 4)).double()
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)
    found = GlobalRobustness(mode="emma", threat=L2(radius=0.0))(run, Batch(Z, Y, torch.arange(6)))
    assert torch.allclose(found, nn.functional.cross_entropy(model(Z), Y, reduction="none"))


def test_the_weakest_modality_rules() -> None:
    scores = torch.zeros(1, 2, 3, dtype=torch.float64)
    scores[0, 0, 0], scores[0, 1, 0] = 9.0, 1.0
    y = torch.tensor([0])
    expected = 2 * torch.tensor(-9.0).exp() + 2 * torch.tensor(-1.0).exp()
    assert abs(float(weakest(scores, y)) - float((expected + 1e-5).log())) < 1e-5
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TwoTowers([nn.Linear(2, 3), nn.Linear(2, 3)], [2, 2], [3, 3], 4).double()
    parts = model.fusion.scores(model.features(Z))
    assert torch.allclose((model.fusion.counts * parts).sum(1) + model.fusion.bias, model(Z))
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)
    found = ModalityBalance(weight=0.5)(run, Batch(Z, Y, torch.arange(6)))
    plain = nn.functional.cross_entropy(model(Z), Y, reduction="none")
    assert torch.allclose(found, plain + 0.5 * weakest(parts, Y))
