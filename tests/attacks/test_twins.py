"""APGD and Square against twins written row by row from the published algorithms."""

from __future__ import annotations

import math

import pytest
import torch

from holdfast.attacks.apgd import APGD
from holdfast.attacks.square import Square
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L2, LInf

STEPS = 40


def inner_world(rows=4):
    """Images far enough from 0 and 1 that no ball of these tests meets the box."""
    world = Images.make(rows=rows)
    x = 0.35 + 0.3 * world.x
    with torch.no_grad():
        z = world.model(x)
    return world.model, x, z.argmax(1)


def losses(z, y):
    """Margin, cross-entropy and difference-of-logits ratio of one row."""
    ranked, others = z.sort(descending=True).values, [v for k, v in enumerate(z) if k != y]
    margin = max(others) - z[y]
    return {
        "margin": margin,
        "soft": torch.nn.functional.cross_entropy(z[None], torch.tensor([y])),
        "dlr": margin / (ranked[0] - ranked[2] + 1e-12),
    }


def checkpoints(steps):
    """The published ones: shares p of the steps, p_0 = 0, p_1 = 0.22, differences 0.03 smaller."""
    length, least, places = int(0.22 * steps), max(int(0.06 * steps), 1), []
    place = length
    while place <= steps:
        places.append((place, length))
        length = max(length - max(int(0.03 * steps), 1), least)
        place += length
    return places


def apgd_twin(model, x, y, start, norm, eps, loss, seen):
    """Algorithm 1 of the paper for one row: all points that it visits, until one wins."""

    def look(point):
        point = point.clone().requires_grad_()
        found = losses(model(point[None])[0], y)
        (gradient,) = torch.autograd.grad(found[loss], point)
        return found["margin"].item(), found[loss].item(), gradient

    def project(point):
        d = point - x
        d = d.clamp(-eps, eps) if norm == "linf" else d * min(1.0, eps / max(d.norm().item(), 1e-9))
        return x + d

    def ahead(point, gradient, eta):
        unit = gradient.sign() if norm == "linf" else gradient / gradient.norm()
        return project(point + eta * unit)

    eta, old, point = 2 * eps, x + start, x + start
    margin, height, gradient = look(point)
    best, best_height, best_gradient = point, height, gradient
    halved, last_best, rises, ends, path = True, height, 0, dict(checkpoints(STEPS)), [point]
    for step in range(1, STEPS + 1):
        z = ahead(point, gradient, eta)
        share = 1.0 if step == 1 else 0.75
        new = z if step == 1 else project(point + share * (z - point) + (1 - share) * (point - old))
        if margin >= 0:
            break
        old, point, before = point, new, height
        path.append(point)
        margin, height, gradient = look(point)
        rises += height > before
        if height > best_height:
            best, best_height, best_gradient = point, height, gradient
        if step in ends:
            stalled = rises <= 0.75 * ends[step]
            stuck = not halved and best_height <= last_best
            seen += ["stalled"] if stalled else ["stuck"] if stuck else []
            halved, last_best, rises = stalled or stuck, best_height, 0
            if halved:
                eta, point, gradient = eta / 2, best, best_gradient
    return path


@pytest.mark.parametrize("loss", ["soft", "margin", "dlr"])
@pytest.mark.parametrize(("norm", "threat"), [("linf", LInf(radius=0.1)), ("l2", L2(radius=0.25))])
def test_apgd_visits_the_points_of_the_published_algorithm(norm, threat, loss):
    """Point by point, with both conditions for halving a step met."""
    model, x, y = inner_world()
    starts, seen = threat.sample(x, Dice.of(len(x))), []
    for row in range(len(x)):
        own, visited = torch.tensor([row]), []

        def tap(points, visited=visited):
            visited.append(points.detach()[0])
            return model(points)

        attack = APGD(steps=STEPS, climb=loss)
        dice, goal = Dice.of(len(x)).part(own), Untargeted(y[own])
        attack(tap, x[own], goal, threat, dice=dice)
        path = apgd_twin(model, x[row], int(y[row]), starts[row], norm, threat.radius, loss, seen)
        assert len(visited) == len(path)
        assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(visited, path, strict=True))
    assert "stalled" in seen  # otherwise nothing of the schedule is tried
    assert "stuck" in seen or (norm, loss) != ("linf", "soft")


def shares(steps):
    """The published halvings of the share of a window, for 10,000 queries, stretched."""
    points = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]
    passed = [len([p for p in points if step / steps > p / 10000]) for step in range(steps)]
    return [0.8 / 2**k for k in passed]


@pytest.mark.parametrize("threat", [LInf(radius=0.05), L2(radius=0.2)])
def test_square_is_a_random_search_of_each_row(threat):
    """Rows of their own: the same proposals, each kept if and only if it raises the margin."""
    model, x, y = inner_world()
    steps, goal = 60, Untargeted(y)
    found = search(Square(steps=steps), model, x, goal, threat)
    assert (~found.broken).sum() >= 2
    for row in range(len(x)):
        dice, one = Dice.of(len(x)).part(torch.tensor([row])), x[row : row + 1]
        signs = 2.0 * dice.integers(2, (1, 1, x.shape[-1])).double() - 1
        change = threat.project(one, threat.steepest(one, 0 * one, signs.expand(one.shape)))

        def margin(change, one=one, row=row):
            with torch.no_grad():
                return losses(model(one + change)[0], int(y[row]))["margin"].item()

        best = margin(change)
        for share in shares(steps):
            if best >= 0:
                break
            new = threat.near(one, change, share, dice)
            if margin(new) > best:
                change, best = new, margin(new)
        assert (best >= 0) == bool(found.broken[row])
        if best < 0:
            assert abs(max(best, found.clean[row].item()) - found.margin[row].item()) < 1e-9


def test_square_moves_one_square_to_the_faces_of_the_ball():
    """Maximum norm: side round(sqrt(share H W)), one sign per channel, all else as it was."""
    generator, eps = torch.Generator().manual_seed(0), 0.1
    x = 0.3 + 0.4 * torch.rand(50, 3, 12, 12, generator=generator, dtype=torch.float64)
    threat, dice = LInf(radius=eps), Dice.of(50)
    change = threat.sample(x, dice)
    for share in (0.8, 0.2, 0.05, 0.01):
        moved = threat.near(x, change, share, dice)
        side, corners = max(1, round(math.sqrt(share * 144))), set()
        for row in range(len(x)):
            places = (moved[row] != change[row]).any(0).nonzero()
            low, high = places.amin(0).tolist(), places.amax(0).tolist()
            assert [h - a + 1 for a, h in zip(low, high, strict=True)] == [side, side]
            corners.add(tuple(low))
            inside = moved[row][:, low[0] : high[0] + 1, low[1] : high[1] + 1]
            for channel in inside:
                assert torch.allclose(channel.abs(), torch.tensor(eps, dtype=channel.dtype))
                assert (channel == channel[0, 0]).all()
        assert len(corners) > min(10, (13 - side) ** 2 // 3)
