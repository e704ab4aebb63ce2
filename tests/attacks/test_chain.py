"""Attacks in a row against the union of what they find alone, and against enumeration."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.apgd import APGD
from holdfast.attacks.chain import AUTOATTACK, AUTOATTACK_PLUS, AUTOATTACK_RAND, Chain
from holdfast.attacks.fab import FAB
from holdfast.attacks.pgd import PGD
from holdfast.attacks.square import Square
from holdfast.core.catalog import resolve, with_settings
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Access, Attack
from holdfast.run.search import search
from holdfast.testing.worlds import TinyReLU, staircase, two_class
from holdfast.threats.norms import LInf

SHORT = Chain(
    attacks=(
        APGD(steps=5), APGD(climb="targeted", steps=5), FAB(aim="each", steps=5), Square(steps=40),
    )
)  # fmt: skip


class Refuses(Attack):
    """Cannot do anything."""

    access = Access.GRADIENT

    def __call__(self, model, x, goal, threat, *, dice=None):
        raise Unsupported("never", fix="Use another.")


def test_it_breaks_what_its_attacks_break_alone(net):
    model, x, y = net
    goal, threat, dice = Untargeted(y), LInf(radius=0.012), Dice.of(len(x), seed=5)
    whole = search(SHORT, model, x, goal, threat, dice=dice)
    alone = torch.zeros(len(x), dtype=torch.bool)
    for place, attack in enumerate(SHORT.attacks):
        own = dice.spawn(str(place))
        alone |= search(attack, model, x, goal, threat, dice=own).broken
    assert torch.equal(whole.broken, alone)
    assert 0 < int(alone.sum()) < len(x)


def test_slopes_where_there_are_some_and_scores_where_there_are_none():
    chain = Chain(attacks=(PGD(steps=10, climb="margin"), Square(steps=200)))
    kinds = []
    for world, share in ((two_class(rows=24, size=16), 1.01), (staircase(rows=24, size=16), 1.5)):
        radius = share * float(world.radius(float("inf")).median())
        found = search(chain, world.model, world.x, world.goal, LInf(radius=radius))
        assert found.broken.sum() >= 12
        kinds += [{found.stages[k].name for k in found.by[found.broken].tolist()} - {"clean"}]
    assert kinds[0] == {"attack:chain: attack:pgd"} and "attack:chain: attack:square" in kinds[1]


def test_each_attack_is_a_stage_on_what_is_left(net):
    model, x, y = net
    found = search(SHORT, model, x, Untargeted(y), LInf(radius=0.012))
    names = [stage.name for stage in found.stages]
    inner = ["attack:apgd 1", "attack:apgd 2", "attack:fab", "attack:square", "judged"]
    assert names == ["clean", "attack:chain", *(f"attack:chain: {name}" for name in inner)]
    left = [stage.rows for stage in found.stages[2:6]]
    assert left == sorted(left, reverse=True) and left[0] > left[-1] > 0
    assert sum(s.forwards for s in found.stages) == found.passes.forwards
    assert sum(s.backwards for s in found.stages) == found.passes.backwards
    assert sum(s.broken for s in found.stages) == int(found.broken.sum())


def test_the_enumerated_truth_of_a_small_net_is_reached():
    world = TinyReLU.make(rows=12)
    truth = world.worst(0.08)
    kinds = APGD(steps=30, climb="margin", restarts=3), FAB(steps=10), Square(steps=50)
    short = with_settings(AUTOATTACK, attacks=kinds)
    found = search(short, world.model, world.x, world.goal, LInf(radius=0.08))
    assert torch.equal(found.broken, truth >= 0)


def test_one_that_refuses_is_left_out_and_all_that_refuse_are_an_error():
    world, threat = two_class(rows=6), LInf(radius=0.01)
    chain = Chain(attacks=(Refuses(), PGD(steps=3)))
    found = search(chain, world.model, world.x, world.goal, threat)
    assert "attack:chain: Refuses refused" in [stage.name for stage in found.stages]
    assert (found.margin > found.clean).all()
    with pytest.raises(Unsupported, match="never"):
        search(Chain(attacks=(Refuses(), Refuses())), world.model, world.x, world.goal, threat)
    with pytest.raises(ConfigError, match="at least one"):
        Chain(attacks=())


def test_it_sees_no_more_than_its_attacks_do():
    assert Chain(attacks=("attack:square",)).access is Access.SCORE
    assert Chain().access is Access.GRADIENT
    seen = []

    class Looks(Attack):
        access = Access.SCORE

        def __call__(self, model, x, goal, threat, *, dice=None):
            seen.append(model(x.requires_grad_()).requires_grad)
            return threat.none(x)

    world = two_class(rows=4)
    with torch.enable_grad():
        Chain(attacks=(Looks(), PGD(steps=1)))(world.model, world.x, world.goal, LInf(radius=1e-3))
    assert seen == [False]


def test_versions_are_the_published_ones():
    def lines(chain):
        parts = [resolve(part) for part in chain.attacks]
        return [
            (type(p).__name__, getattr(p, "climb", getattr(p, "aim", "")), p.steps, p.restarts)
            for p in parts
        ]

    ce, dlr = ("APGD", "soft", 100), ("APGD", "dlr", 100)
    targeted, walks = ("APGD", "targeted", 100, 1), ("FAB", "each", 100, 1)
    queries = ("Square", "", 5000, 1)
    assert lines(AUTOATTACK) == [(*ce, 1), targeted, walks, queries]
    assert lines(AUTOATTACK_PLUS) == [
        (*ce, 5), (*dlr, 5), ("FAB", "nearest", 100, 5), queries, targeted, walks,
    ]  # fmt: skip
    assert lines(AUTOATTACK_RAND) == [(*ce, 1), (*dlr, 1)]
    assert [resolve(p).samples for p in AUTOATTACK_RAND.attacks] == [20, 20]
