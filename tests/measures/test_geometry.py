"""Power law, tilted boundaries, trajectories and level sets against closed forms."""

from math import cos, radians

import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.measures.model.blind_spots import blind_spots
from holdfast.measures.model.level_set import confidence, traverse
from holdfast.measures.model.linear_distance import linear_distance
from holdfast.measures.model.local_tilt import local_tilt
from holdfast.measures.model.paths import trajectories
from holdfast.measures.model.plane import Plane
from holdfast.measures.model.power_law import power_law
from holdfast.measures.model.star import level_set_width, star
from holdfast.measures.model.tilting import adversarial_strength
from holdfast.measures.model.tilting_curve import gaussian_error, tilting_curve
from holdfast.measures.model.trajectory import path_quality, rmqm
from holdfast.testing.worlds import three_class, two_class
from holdfast.threats.norms import L2, LInf


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], len(weight)).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


@pytest.mark.parametrize("threat", [LInf(radius=0.1), L2(radius=0.3)])
def test_linear_distance_is_the_radius_of_a_linear_world(threat):
    world = three_class(rows=40)
    found = linear_distance(world.model, world.x, world.goal, threat)
    assert torch.allclose(found * threat.radius, world.radius(threat.order), rtol=1e-8)


def test_coordinates_at_a_wall_do_not_count():
    model = linear(torch.tensor([[1.0, 1.0], [0.0, 0.0]]).double(), torch.zeros(2).double())
    x = torch.tensor([[0.0, 0.5]]).double()  # the first coordinate cannot go down
    from holdfast.core.goal import Untargeted

    found = linear_distance(model, x, Untargeted(torch.tensor([0])), LInf(radius=1.0))
    assert float(found) == pytest.approx(0.5)


def test_slope_of_a_gaussian_mixture_is_the_density_at_the_boundary():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(40_000) % 2
    x = (torch.randn(40_000, 1, generator=g, dtype=torch.float64) * 0.1 + 0.35) + 0.3 * y[:, None]
    model = linear(torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0.5, -0.5]).double())
    threat = LInf(radius=0.01, low=-9, high=9)
    found = power_law(model, Batches(x=x, y=y, size=20_000), threat=threat,
                      attack=PGD(steps=1, travel=1.0, start="none"), points=8, smallest=0.2,
                      window=(1e-5, 1.0))  # fmt: skip
    z = torch.tensor([1.5, 1.4]).double()
    truth = float(torch.special.ndtr(-z[1]) - torch.special.ndtr(-z[0]))
    assert found.added[-1] == pytest.approx(truth, rel=0.1)
    assert found.predicted == pytest.approx(found.added)
    assert found.exponent.low <= 1.05 and found.exponent.high >= 0.95
    assert found.fit.value > 0.98


def test_power_law_says_when_there_is_nothing_to_fit():
    world = two_class()
    rows = Batches(x=world.x, y=world.y)
    with pytest.raises(Unsupported, match="sizes"):
        power_law(world.model, rows, threat=LInf(radius=1e-9))
    with pytest.raises(ConfigError):
        power_law(world.model, rows, points=2)


def cloud(rows=300, size=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, size, generator=g, dtype=torch.float64)
    y = torch.arange(rows) % 2
    x[y == 1] += torch.tensor([1.5, 0.5, 0, 0, 0][:size]).double()
    return Batches(x=x, y=y)


def test_strength_is_the_secant_wherever_the_boundary_parts_the_means():
    rows = cloud()
    means = [rows.x[rows.y == k].mean(0) for k in (0, 1)]
    g = torch.Generator().manual_seed(1)
    for share in (0.2, 0.5, 0.9):
        normal = torch.randn(5, generator=g, dtype=torch.float64)
        middle = means[0] + share * (means[1] - means[0])
        found = adversarial_strength(Plane(3 * normal, -3 * float(normal @ middle)), rows)
        assert found.ratio.value == pytest.approx(found.secant.value, rel=1e-10)
        assert found.secant.value == pytest.approx(1 / cos(radians(found.angle.value)), rel=1e-9)


def test_nearest_centroid_is_the_weakest_boundary():
    rows = cloud()
    means = [rows.x[rows.y == k].mean(0) for k in (0, 1)]
    normal = means[1] - means[0]
    plane = Plane(normal, -float(normal @ (means[0] + means[1])) / 2)
    found = adversarial_strength(plane, rows)
    truth = NearestCentroid().fit(rows.x.numpy(), rows.y.numpy())
    assert found.ratio.value == pytest.approx(1) and found.angle.value == pytest.approx(0, abs=1e-5)
    assert found.error.value == pytest.approx(1 - truth.score(rows.x.numpy(), rows.y.numpy()))
    assert found.kind == 0


def test_mirror_images_have_the_opposite_height():
    plane = Plane(torch.tensor([3.0, 4.0]), 5.0)
    x = torch.tensor([[1.0, 2.0], [-3.0, 0.0]])
    assert torch.allclose(plane.height(plane.mirror(x)), -plane.height(x))
    assert float(plane.height(x)[0]) == pytest.approx((3 + 8 + 5) / 5)
    with pytest.raises(ConfigError):
        Plane(torch.zeros(2), 0.0)


def test_a_tilt_along_what_does_not_vary_costs_nothing_and_shortens_the_way():
    rows = cloud(10_000)
    x = rows.x.clone()
    x[:, 4] = 0.25
    still = torch.eye(5, dtype=torch.float64)[4]
    angles = (0.0, 30.0, 60.0, 85.0)
    found = tilting_curve(Batches(x=x, y=rows.y), direction=still, angles=angles)
    assert len(set(found.error)) == 1
    assert found.strength == pytest.approx([1 / cos(radians(a)) for a in angles])
    assert found.expected == pytest.approx([found.expected[0]] * 4)


def test_gaussian_error_is_that_of_a_simulation():
    g = torch.Generator().manual_seed(3)
    cover = torch.tensor([[1.0, 0.4], [0.4, 0.7]]).double()
    noise = (
        torch.randn(200_000, 2, generator=g, dtype=torch.float64) @ torch.linalg.cholesky(cover).T
    )
    y = torch.arange(200_000) % 2
    x = noise + 2.0 * torch.stack([y.double() - 0.5, torch.zeros(200_000).double()], 1)
    for angle in (0.0, 30.0, 60.0):
        normal = torch.tensor([cos(radians(angle)), cos(radians(90 - angle))]).double()
        wrong = float((((x @ normal) > 0) != (y == 1)).double().mean())
        assert gaussian_error(2.0, 1.0, 0.7, 0.4, angle) == pytest.approx(wrong, rel=0.015)


def test_local_tilt_of_a_linear_model_is_its_angle():
    rows = cloud()
    g = torch.Generator().manual_seed(4)
    model = linear(torch.randn(2, 5, generator=g).double(), torch.randn(2, generator=g).double())
    angle = adversarial_strength(Plane.of(model, rows.x), rows).angle.value
    found = local_tilt(model, rows)
    assert found.median.value == pytest.approx(angle, abs=1e-6)
    assert torch.allclose(found.angle, torch.full((300,), angle).double(), atol=1e-5)
    with pytest.raises(Unsupported):
        Plane.of(nn.Sequential(model, nn.Tanh()), rows.x)


def test_steps_of_a_linear_encoder_are_equal():
    x = torch.rand(30, 6, generator=torch.Generator().manual_seed(5)).double()
    model = linear(torch.randn(4, 6, generator=torch.Generator().manual_seed(6)).double(),
                   torch.zeros(4).double())  # fmt: skip
    paths = trajectories(model, x, LInf(radius=0.3), levels=7, dice=Dice.of(30))
    steps = (paths[:, 1:] - paths[:, :-1]).norm(dim=2)
    assert torch.allclose(steps, steps[:, :1].expand_as(steps), rtol=1e-9)
    found = path_quality(paths, normalize=False)
    assert float(found.variation.max()) < 1e-9
    assert torch.allclose(found.score, found.step)


def test_quality_of_a_path_done_by_hand():
    paths = torch.tensor([[0.0, 1.0, 3.0], [10.0, 11.0, 11.5]])[..., None]
    found = path_quality(paths)
    assert found.step.tolist() == pytest.approx([0.15, 0.075])
    assert found.variation.tolist() == pytest.approx([1.0, 0.5])
    assert found.score.tolist() == pytest.approx([0.075, 0.05])
    assert found.distance.tolist() == pytest.approx([0.3, 0.15])
    with pytest.raises(ShapeError):
        path_quality(paths[:1])


def test_ascent_moves_features_further_than_noise_and_stays_inside():
    world = three_class(rows=20)
    noise, climb = (
        rmqm(world.model, Batches(x=world.x, y=world.y), threat=L2(radius=0.2), alteration=a)
        for a in ("noise", "climb")
    )
    assert float(climb.distance.mean()) > float(noise.distance.mean())
    jacobian = torch.linalg.matrix_norm(world.model.weight.detach(), 2)
    paths = trajectories(world.model, world.x, L2(radius=0.2), alteration="climb", dice=Dice.of(20))
    assert bool(((paths[:, -1] - paths[:, 0]).norm(dim=1) <= 0.2 * jacobian + 1e-9).all())
    assert float((paths[:, -1] - paths[:, 0]).norm(dim=1).mean()) > 0.19 * jacobian


def test_a_walk_on_a_linear_model_ends_at_the_projection():
    g = torch.Generator().manual_seed(7)
    model = linear(torch.randn(2, 6, generator=g).double(), torch.zeros(2).double())
    x, target = 0.4 + 0.2 * torch.rand(2, 20, 6, generator=g, dtype=torch.float64)
    label = torch.zeros(20, dtype=torch.int64)
    found = traverse(model, x, target, label, steps=400, correction=0.0, jitter=0.0, drop=0.01,
                     dice=Dice.of(20))  # fmt: skip
    w = (model.weight[1] - model.weight[0]).detach()
    end = target - ((target - x) @ w)[:, None] * w / (w @ w)
    assert float((found.x - end).norm(dim=1).max()) < 1e-3
    assert torch.allclose(found.confidence, found.start, atol=1e-4)
    assert found.trace.shape == (401, 20) and bool((found.left <= 1 + 1e-9).all())


def test_steps_that_lose_confidence_are_not_taken():
    world = three_class(rows=30)
    target = world.x.flip(0)
    found = traverse(world.model, world.x, target, world.y, drop=0.02, step_size=0.3,
                     dice=Dice.of(30))  # fmt: skip
    moved = found.trace[-1] != found.trace[0]
    assert bool((found.start - found.confidence)[moved].lt(0.02 + 1e-9).all())


def test_star_and_width_of_a_constant_model():
    model = linear(torch.zeros(3, 4).double(), torch.tensor([2.0, 0.0, 0.0]).double())
    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(8)).double()
    label = torch.zeros(5, dtype=torch.int64)
    chance = float(confidence(model, x, label)[0].detach())
    found = star(model, x, x.flip(0), x.flip(1), label)
    assert found.mean.tolist() == pytest.approx([chance] * 5)
    assert found.edge_least.shape == (2, 5) and bool((found.kept[1:] == 1).all())
    wide = level_set_width(model, x, torch.ones_like(x), label, (0.1, 0.5), directions=20,
                           dice=Dice.of(5))  # fmt: skip
    assert wide.shape == (2, 2, 5) and torch.allclose(wide, torch.full_like(wide, chance))


def test_width_looks_across_the_walk_only():
    model = linear(
        torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).double(), torch.zeros(2).double()
    )
    x, label = torch.full((3, 3), 0.5).double(), torch.zeros(3, dtype=torch.int64)
    along = torch.tensor([[1.0, 0.0, 0.0]]).double().expand(3, 3)
    wide = level_set_width(model, x, along, label, (0.4,), directions=30, dice=Dice.of(3))
    assert torch.allclose(wide[0, 0], wide[0, 1])
    across = level_set_width(model, x, along.roll(1, 1), label, (0.4,), directions=30,
                             dice=Dice.of(3))  # fmt: skip
    assert bool((across[0, 1] - across[0, 0] > 0.1).all())


def test_blind_spots_need_a_target():
    world = two_class()
    with pytest.raises(Unsupported):
        blind_spots(world.model, Batches(x=world.x, y=torch.zeros_like(world.y)))
