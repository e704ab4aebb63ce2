"""Minimum-norm attacks: closed forms, boxes, goals, and what leaves when."""

import pytest
import torch

from holdfast.attacks.cw import CW
from holdfast.attacks.ddn import DDN
from holdfast.attacks.deepfool import DeepFool
from holdfast.attacks.ead import EAD
from holdfast.attacks.fab import FAB
from holdfast.attacks.fmn import FMN, NEAREST
from holdfast.attacks.sigma_zero import SigmaZero
from holdfast.core.catalog import with_settings
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images, Linear, three_class, two_class
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.sparse import L0

BALLS = [LInf, L2, L1]
EVERY = [
    (DeepFool(), BALLS), (FAB(steps=10), BALLS), (FAB(steps=10, aim="each"), BALLS),
    (FMN(steps=40), [*BALLS, L0]), (NEAREST, BALLS), (DDN(steps=60), [L2]),
    (CW(steps=30, rounds=4, rate=0.05, price=0.1), [L2]),
    (EAD(steps=30, rounds=4, price=0.1), [L1, L2]), (SigmaZero(steps=60), [L0]),
]  # fmt: skip
PAIRS = [(a, ball) for a, balls in EVERY for ball in balls]
IDS = [f"{type(a).__name__}-{getattr(a, 'aim', '')}-{b.__name__}" for a, b in PAIRS]


def close_world():
    """Three linear classes, rows whose distances are too short for the box to matter."""
    world = three_class(rows=40)
    near = (world.radius(1) < 0.2) & (world.radius(1) > 0.02)
    assert near.sum() >= 8
    return type(world)(world.model, world.x[near], world.y[near])


CLOSE = [
    (DeepFool(), BALLS, 1.0205, 2e-3), (FAB(steps=5, overshoot=1e-6), BALLS, 1.0, 1e-4),
    (FAB(steps=5, overshoot=1e-6, aim="each"), BALLS, 1.0, 1e-4), (FMN(), BALLS, 1.0, 1e-2),
    (NEAREST, BALLS, 1.0, 1e-2), (CW(steps=150, rounds=6, price=0.1), [L2], 1.0, 2e-2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "ball", "factor", "slack"), [(a, b, f, s) for a, bs, f, s in CLOSE for b in bs]
)
def test_the_length_is_the_closed_form_on_a_linear_model(attack, ball, factor, slack):
    """|f| / dual norm of w to the nearest class; DeepFool's stretched by its overshoot."""
    world, threat = close_world(), ball(radius=0.01)
    change = with_settings(attack, smallest=True)(world.model, world.x, world.goal, threat)
    assert (world.goal(world.model(world.x + change)) >= 0).all()
    ratio = threat.length(change) / world.radius(threat.order)
    assert (ratio >= 1 - 1e-9).all()
    # Those that climb the margin keep to the class ahead at the input, not to the nearest one.
    due = 0.75 if attack in (FMN(), CW(steps=150, rounds=6, price=0.1)) else 1
    assert ((ratio - factor).abs() <= slack).double().mean() >= due


def test_ddn_comes_within_two_percent_of_the_closed_form():
    """Two classes, so that the loss has one direction; the length closes in by shares of 5 %."""
    world, threat = two_class(rows=24), L2(radius=0.01)
    change = DDN(smallest=True)(world.model, world.x, world.goal, threat)
    ratio = threat.length(change) / world.radius(2)
    far = world.radius(2) > 0.02
    assert far.sum() >= 8 and (ratio >= 1 - 1e-9).all()
    assert float(ratio[far].median()) <= 1.02


class Scale(torch.nn.Module):
    """Multiplies."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return self.by * x


@pytest.mark.parametrize(("attack", "ball"), PAIRS, ids=IDS)
def test_changes_win_and_stay_in_the_box_for_images(attack, ball):
    """Whatever the radius, box and type; a change is never longer than the box allows."""
    world = Images.make()
    model = torch.nn.Sequential(Scale(0.5), world.model)
    for dtype in (torch.float64, torch.float32):
        x = (2 * world.x).to(dtype)
        goal = Untargeted(world.y)
        threat = ball(radius=0.5, low=0.0, high=2.0)
        change = with_settings(attack, smallest=True)(model.to(dtype), x, goal, threat)
        assert change.dtype == dtype and threat.size(x, change).isfinite().all()
        won = goal(model(x + change)) >= 0
        assert won.double().mean() >= (0.6 if type(attack) in (CW, EAD) else 1)


@pytest.mark.parametrize(("attack", "ball"), PAIRS, ids=IDS)
def test_rows_leave_when_the_threat_is_enough(attack, ball):
    """What is asked decides what is spent: with a wide threat, less than going to the end."""
    world, wide = Images.make(), {LInf: 1.0, L2: 6.0, L1: 36.0, L0: 36.0}[ball]
    threat = ball(radius=wide)
    first = search(attack, world.model, world.x, world.goal, threat)
    whole = search(with_settings(attack, smallest=True), world.model, world.x, world.goal, threat)
    assert first.broken.double().mean() >= 0.7 and whole.broken.sum() >= first.broken.sum()
    size, least = (threat.size(world.x, f.change) for f in (first, whole))
    assert (least <= size + 1e-12)[first.broken & whole.broken].all()
    if not isinstance(attack, DeepFool):
        assert first.passes.backwards < whole.passes.backwards


def test_a_threat_that_is_too_small_gets_an_admissible_change_back():
    world, threat = Images.make(), L2(radius=1e-4)
    for attack in (DeepFool(), FAB(steps=3), FMN(steps=5), DDN(steps=5)):
        change = attack(world.model, world.x, world.goal, threat)
        assert (threat.size(world.x, change) <= 1 + 1e-9).all()
        long = with_settings(attack, smallest=True)(world.model, world.x, world.goal, threat)
        assert (threat.size(world.x, long) > 1).any()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_any_number_of_classes_and_other_goals(classes):
    world = Images.make(classes=classes)
    threat = LInf(radius=1.0)
    target = (world.y + 1) % classes
    for goal in (Targeted(target), Untargeted(torch.where(world.y == 0, -100, world.y))):
        closed = goal(world.model(world.x)).isneginf()
        for attack in (DeepFool(), FAB(steps=5), FAB(steps=5, aim="each"), NEAREST):
            found = search(attack, world.model, world.x, goal, threat)
            assert not found.broken[closed].any()
            assert found.broken[~closed].double().sum() >= 0.6 * (~closed).sum()


def test_rows_that_are_lost_already_need_no_change():
    world = Images.make()
    wrong = Untargeted((world.y + 1) % 5)
    for attack, ball in PAIRS:
        change = with_settings(attack, smallest=True)(world.model, world.x, wrong, ball(radius=1.0))
        assert (change == 0).all()


def test_what_has_no_length_is_refused():
    world = Images.make()
    for attack in (DeepFool(), FMN(), CW(), SigmaZero()):
        with pytest.raises(Unsupported):
            attack(world.model, world.x, world.goal, Rotation(degrees=10.0))
    with pytest.raises(Unsupported):
        DDN()(world.model, world.x, world.goal, LInf(radius=0.1))


def test_rows_sent_in_portions_get_what_they_get_alone():
    """More rows of many numbers than go through a model at once."""
    from holdfast.ops.batch import portion

    world, threat = Linear.make(classes=3, rows=150, size=1200), L2(radius=0.1)
    assert portion(world.x) < 150
    some = torch.tensor([0, 70, 149])
    for attack in (DeepFool(smallest=True), FMN(steps=5, smallest=True)):
        whole = attack(world.model, world.x, world.goal, threat)
        alone = attack(world.model, world.x[some], world.goal.take(some), threat)
        assert torch.allclose(whole[some], alone, atol=1e-9)
