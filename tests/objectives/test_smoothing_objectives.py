"""Objectives that make models worth smoothing, against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.defend.mixed import Mixing
from holdfast.objectives.denoiser import DenoiserLoss, QueriedDenoiser
from holdfast.objectives.mixing import MixingNetwork
from holdfast.objectives.noisy import Noisy, agreement
from holdfast.objectives.rrcm import ConsistentRepresentation, found_among, noise_levels
from holdfast.ops.zeroth_order import coordinate_gradient, direction_gradient
from holdfast.run.training import TrainingRun


def run_of(model: nn.Module, batch: Batch) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)


@pytest.fixture
def scene() -> tuple[nn.Module, nn.Module, Batch]:
    """A denoiser of four numbers, a classifier behind it, and rows."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        denoiser = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).double()
        classifier = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
        x = torch.rand(7, 4, dtype=torch.float64)
    return denoiser, classifier, Batch(x, torch.arange(7) % 3, torch.arange(7))


def test_coordinates_are_exact_on_a_quadratic_and_directions_on_average() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(20, *s, generator=g, dtype=torch.float64) for s in ((20,), ()))
    z = torch.randn(3, 20, generator=g, dtype=torch.float64)

    def values(z: Tensor) -> Tensor:
        return ((z @ (a @ a.T)) * z).sum(1) / 2 + z @ b

    exact = z @ (a @ a.T) + b
    assert torch.allclose(coordinate_gradient(values, z, 0.005), exact, atol=1e-6)
    u = nn.functional.normalize(torch.randn(3, 20_000, 20, generator=g, dtype=torch.float64), dim=2)
    slopes = (exact[:, None] * u).sum(2, keepdim=True) * u * 20
    error = slopes.std(1) / 20_000**0.5
    found = direction_gradient(values, z, 1e-5, u)
    assert ((found - exact).abs() < 5 * error + 1e-2).all()


@pytest.mark.parametrize("decoded", [False, True])
def test_questions_give_the_gradient_of_the_white_box(
    scene: tuple[nn.Module, nn.Module, Batch], decoded: bool
) -> None:
    """Along coordinates the weights get what the chain rule through the classifier gives."""
    denoiser, classifier, batch = scene
    decoder = nn.Linear(4, 4).double() if decoded else None
    whole = classifier if decoder is None else nn.Sequential(decoder, classifier)
    target = classifier(batch.x).argmax(1)
    noise = Dice(0, batch.index).spawn("denoiser").normal((4,), dtype=torch.float64)
    exact = nn.functional.cross_entropy(
        whole(denoiser(batch.x + 0.25 * noise)), target, reduction="none"
    )
    wanted = torch.autograd.grad(exact.mean(), list(denoiser.parameters()))

    def box(x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return classifier(x)

    objective = QueriedDenoiser(classifier=box, decoder=decoder, step=1e-4)
    losses = objective(run_of(denoiser, batch), batch)
    assert torch.allclose(losses, exact)
    found = torch.autograd.grad(losses.mean(), list(denoiser.parameters()))
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-7)
    with pytest.raises(ConfigError):
        QueriedDenoiser()(run_of(denoiser, batch), batch)


def test_denoiser_losses_are_their_formulas(scene: tuple[nn.Module, nn.Module, Batch]) -> None:
    denoiser, classifier, batch = scene
    run = run_of(denoiser, batch)
    noise = run.dice.spawn("denoiser").normal((4,), dtype=torch.float64)
    made = denoiser(batch.x + 0.25 * noise)
    pixels = (made - batch.x).square().mean(1)
    target = classifier(batch.x).argmax(1)
    answers = nn.functional.cross_entropy(classifier(made), target, reduction="none")
    for loss, exact in (("pixels", pixels), ("answers", answers), ("both", pixels + answers)):
        found = DenoiserLoss(loss=loss, classifier=classifier)(run, batch)
        assert torch.allclose(found, exact)
        found.mean().backward()
    assert all(p.grad is None and p.requires_grad for p in classifier.parameters())
    with pytest.raises(ShapeError):
        DenoiserLoss()(run_of(classifier, batch), batch)
    with pytest.raises(ConfigError):
        DenoiserLoss(loss="answers")(run, batch)


def test_agreement_is_zero_for_equal_copies_and_else_the_divergence() -> None:
    z = torch.randn(3, 5, 4, dtype=torch.float64)
    same = z[:1].expand(3, -1, -1)
    assert torch.allclose(agreement(same, 2.0, 0.0), torch.zeros(5, dtype=torch.float64))
    p = z.softmax(-1)
    mean = p.mean(0)
    apart = torch.stack([(mean * (mean / one).log()).sum(-1) for one in p]).mean(0)
    entropy = -(mean * mean.log()).sum(-1)
    assert torch.allclose(agreement(z, 2.0, 0.5), 2 * apart + 0.5 * entropy)


def test_noisy_is_gaussian_augmentation(scene: tuple[nn.Module, nn.Module, Batch]) -> None:
    _, classifier, batch = scene
    run = run_of(classifier, batch)
    clean = nn.functional.cross_entropy(classifier(batch.x), batch.y, reduction="none")
    assert torch.allclose(Noisy(sigma=0.0)(run, batch), clean)
    noise = run.dice.spawn("noisy").normal((2, 4), dtype=torch.float64)
    each = [
        nn.functional.cross_entropy(
            classifier(batch.x + 0.3 * noise[:, k]), batch.y, reduction="none"
        )
        for k in (0, 1)
    ]
    assert torch.allclose(Noisy(sigma=0.3, copies=2)(run, batch), (each[0] + each[1]) / 2)


def test_trajectories_share_their_noise(scene: tuple[nn.Module, nn.Module, Batch]) -> None:
    _, encoder, batch = scene
    grid = noise_levels(20, 0.002, 80.0)
    assert float(grid[0]) == pytest.approx(80)
    assert float(grid[-1]) == pytest.approx(0.002)
    assert (grid.diff() < 0).all()
    eye = torch.eye(6, dtype=torch.float64)
    exact = torch.log1p(5 * torch.exp(torch.tensor(-1 / 0.2, dtype=torch.float64)))
    assert torch.allclose(found_among(eye, eye, 0.2), exact.expand(6))
    # At large noise rows are told apart by their noise alone: two points of one trajectory find
    # each other, points of separate ones do not.
    objective = ConsistentRepresentation(least=60.0, most=80.0, weight=0.0)
    run = run_of(encoder, batch)
    together = objective(run, batch).mean()
    noise = torch.randn(7, 4, dtype=torch.float64)
    x, level = 2 * batch.x - 1, torch.full((7,), 70.0, dtype=torch.float64)
    apart = found_among(
        objective.seen(run, x, noise, level), objective.seen(run, x, noise.flip(0), level), 0.2
    ).mean()
    assert together < apart - 0.1


def test_mixing_learns_what_is_attacked(scene: tuple[nn.Module, nn.Module, Batch]) -> None:
    _, classifier, batch = scene
    mixer = nn.Linear(4, 1).double()
    objective = MixingNetwork(
        standard=classifier, mixture=Mixing(robust=classifier), classes=0.0, both=0.0, right=1.0
    )
    losses = objective(run_of(mixer, batch), batch)
    raw = mixer(batch.x)[:, 0]
    clean = nn.functional.softplus(raw)  # the answer shall be 0
    assert (losses > clean / 2).all()
    losses.mean().backward()
    assert mixer.weight.grad is not None
    assert all(p.grad is None for p in classifier.parameters())
    with pytest.raises(ConfigError):
        MixingNetwork()(run_of(mixer, batch), batch)
