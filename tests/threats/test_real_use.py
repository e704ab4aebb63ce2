"""Every threat is attacked for real: rows break, and the break holds when redone by hand."""

from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
from torch import Tensor

from holdfast.attacks.grid import Grid
from holdfast.attacks.pgd import PGD
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Threat
from holdfast.run.search import Found, search
from holdfast.testing.worlds import Images, Language
from holdfast.threats.bind import bind
from holdfast.threats.grammar import parse

WORLD = Images.make(rows=10, seed=2)
PGD20 = PGD(steps=20, restarts=2)


def attacked(spec: str, attack: object = PGD20) -> tuple[Threat, Found]:
    """The bound threat and what the attack found; some rows break, none was broken before."""
    threat = bind(parse(spec), WORLD.model)
    found = search(attack, WORLD.model, WORLD.x, WORLD.goal, threat)  # type: ignore[arg-type]
    assert (found.clean < 0).all() and found.broken.any(), found.margin
    assert (threat.size(WORLD.x, found.change) <= 1 + 1e-5).all()
    return threat, found


def answers(z: Tensor) -> Tensor:
    return z.argmax(1) != WORLD.y[: len(z)]


@pytest.mark.parametrize(("spec", "order"), [("linf:0.1", torch.inf), ("l2:0.6", 2), ("l1:3", 1)])
def test_balls(spec: str, order: float) -> None:
    threat, found = attacked(spec)
    changed = (WORLD.x + found.change).clamp(0, 1)
    length = torch.linalg.vector_norm((changed - WORLD.x).flatten(1), order, dim=1)
    assert (length <= threat.radius * (1 + 1e-9)).all()
    with torch.no_grad():
        assert torch.equal(answers(WORLD.model(changed)), found.broken)


@pytest.mark.parametrize(
    ("spec", "attack"),
    [
        ("rotation:60", Grid(samples=31)), ("rotation:60", PGD20),
        ("translation:0.3", Grid(samples=11)), ("translation:0.3", PGD20),
        ("rotation:30+translation:0.2", Grid(samples=7)),
        ("rotation:30+translation:0.2", PGD20), ("rotation:20+linf:0.08", PGD20),
        ("linf:0.08+rotation:20", PGD20), ("patch:3x3", PGD20), ("patch:4x2+linf:0.05", PGD20),
    ],
)  # fmt: skip
def test_changes_of_images(spec: str, attack: object) -> None:
    threat, found = attacked(spec, attack)
    changed = threat.apply(WORLD.x, found.change)
    assert ((changed >= 0) & (changed <= 1)).all()
    with torch.no_grad():
        assert torch.equal(answers(WORLD.model(changed)), found.broken)
    if spec == "patch:3x3":
        assert ((changed != WORLD.x).flatten(1).sum(1) <= 9).all()


def test_the_grid_finds_what_enumeration_finds() -> None:
    """Rotation by rotation, each as an image of its own."""
    threat, found = attacked("rotation:60", Grid(samples=31))
    margins = []
    for share in torch.linspace(-1, 1, 31, dtype=torch.float64):
        with torch.no_grad():
            turned = threat.apply(WORLD.x, share.expand(10, 1))
            margins.append(WORLD.goal(WORLD.model(turned)))
    best = torch.stack(margins).amax(0)
    assert torch.equal(best >= 0, found.broken)
    assert torch.allclose(best[~found.broken], found.margin[~found.broken], atol=1e-9)


@pytest.mark.parametrize("spec", ["weights:0.15", "shared+weights:0.25"])
def test_weights(spec: str) -> None:
    threat, found = attacked(spec)
    radius = getattr(threat, "threat", threat).radius
    for row in found.broken.nonzero().flatten().tolist():
        model, start = copy.deepcopy(WORLD.model), 0
        with torch.no_grad():
            for p in model.parameters():
                if p.dim() > 1:
                    part = found.change[row, start : start + p.numel()].reshape(p.shape)
                    assert part.norm() <= 1 + 1e-9
                    p.add_(radius * p.norm() * part)
                    start += p.numel()
            assert int(model(WORLD.x[row : row + 1]).argmax()) != int(WORLD.y[row])
    if spec.startswith("shared"):
        assert (found.change == found.change[:1]).all()


def test_latent() -> None:
    """The change is added behind the convolution and the rest of the net computed by hand."""
    _, found = attacked("latent:conv:0.4")
    model = WORLD.model
    with torch.no_grad():
        inner = model.conv(WORLD.x)
        length = inner.flatten(1).norm(dim=1)
        moved = inner + 0.4 * length[:, None, None, None] * found.change
        z = torch.nn.functional.avg_pool2d(torch.relu(model.norm(moved)), 2)
        assert torch.equal(answers(model.head(z.flatten(1))), found.broken)
    assert (found.change.flatten(1).norm(dim=1) <= 1 + 1e-9).all()


@pytest.mark.parametrize("spec", ["shared+linf:0.15", "shared+rotation:60"])
def test_one_change_for_all(spec: str) -> None:
    threat, found = attacked(spec)
    assert (found.change == found.change[:1]).all()
    with torch.no_grad():
        z = WORLD.model(threat.apply(WORLD.x, found.change))
    assert torch.equal(answers(z), found.broken)


def test_shared_samples_differ_from_call_to_call() -> None:
    from holdfast.core.dice import Dice

    threat, dice = parse("shared+linf:0.1"), Dice.of(4)
    x = WORLD.x[:4]
    draws = [threat.sample(x, dice) for _ in range(3)]
    assert not torch.equal(draws[0], draws[1]) and not torch.equal(draws[1], draws[2])
    other = threat.sample(x[2:], Dice(0, torch.tensor([2, 3])))
    assert torch.equal(other[0], draws[0][0])  # of no row, so the same whichever rows are there


@pytest.mark.parametrize("sign", [1, -1])
def test_embeddings_of_a_language_model_reach_the_closed_form(sign: int) -> None:
    """With two tokens a change of what the table hands on moves the margin exactly so far."""
    world, seen = Language.make(rows=40, tokens=2, seed=1), set()
    goal = world.goal(sign)
    for radius in (0.02, 0.1, 0.3):
        threat, best = bind(parse(f"latent:table:{radius}"), world.model), world.bound(radius, sign)
        found = search(PGD(steps=60, travel=4.0), world.model, world.ids, goal, threat)
        safe = found.clean < 0
        assert (found.margin[safe] <= best[safe] + 1e-9).all()
        assert torch.equal(found.broken[safe], best[safe] >= 0)
        held = safe & ~found.broken
        assert torch.allclose(found.margin[held], best[held], atol=1e-2)
        seen |= set(found.broken[safe].tolist())
    assert seen == {True, False}


@pytest.mark.parametrize("sign", [1, -1])
def test_no_change_of_embeddings_exceeds_the_bound(sign: int) -> None:
    world = Language.make(rows=20)
    threat = bind(parse("latent:table:0.2"), world.model)
    found = search(PGD(steps=30), world.model, world.ids, world.goal(sign), threat)
    assert (found.margin <= world.bound(0.2, sign) + 1e-9).all()
    assert (found.broken & (found.clean < 0)).any()


@pytest.mark.parametrize("bad", [
    "linf:0.1:1..0", "l2:1:0..0", "rotation:30:5..1", "patch:5x5:1..0", "shared", "product:1",
    "linf:0.1:-inf..inf", "linf:inf", "weights:inf", "rotation:inf", "linf:1_0", "8/255",
    "linf:0.1:0..inf", "latent:conv:inf", "translation:inf", "shared:linf:0.1",
])  # fmt: skip
def test_sets_that_are_none_are_refused_in_words(bad: str) -> None:
    from holdfast.core.errors import ConfigError

    with pytest.raises(ConfigError):
        parse(bad)


def test_every_pair_of_input_threats_can_be_joined() -> None:
    names = ["linf:0.02", "l2:0.1", "l1:0.5", "rotation:5", "translation:0.05", "patch:1x1"]
    for one, other in product(names, names):
        threat = parse(f"{one}+{other}")
        found = search(PGD(steps=2), WORLD.model, WORLD.x[:2], Untargeted(WORLD.y[:2]), threat)
        assert (threat.size(WORLD.x[:2], found.change) <= 1 + 1e-5).all()
        assert (found.margin >= found.clean).all()
