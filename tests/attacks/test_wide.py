"""Ascents that come in from larger threats: what counts, what it costs, and where they are used."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.active import Active
from holdfast.attacks.arms import mixed
from holdfast.attacks.ascent import ascent, cosine, narrowing
from holdfast.attacks.ensemble import AdaptiveEnsemble
from holdfast.attacks.tiers import TIERS, tier_of
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.rowwise import Rowwise


def curved(rows: int = 40) -> tuple[nn.Module, Tensor, Tensor]:
    """A small net with curved boundaries, and its own answers as labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = nn.Sequential(
            nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 6)
        )
        model, x = model.eval().double(), torch.rand(rows, 16, dtype=torch.float64)
        return model, x, model(x).argmax(1)


def climbed(threat: L1, wide: list[float], steps: int = 18) -> Active:
    model, x, y = curved()
    active = Active(model, x, Untargeted(y), threat, None)
    ascent(active, threat.none(x), mixed(steps), cosine(steps, 3.0), wide=wide)
    return active


def test_multiples_shrink_to_one_and_the_last_third_lies_within_the_threat() -> None:
    wide = narrowing(18, 4.0)
    assert wide[0] == 4.0 and len(wide) == 12 and all(1 < w <= 4 for w in wide)
    assert all(a > b for a, b in pairwise(wide))
    assert narrowing(18, 1.0) == [] and narrowing(1, 4.0) == []


@pytest.mark.parametrize("wide", [[4.0] * 18, [4.0] * 12, narrowing(18, 4.0)])
def test_only_what_lies_within_the_threat_counts(wide: list[float]) -> None:
    threat = L1(radius=0.4)
    active = climbed(threat, wide)
    model, x, y = curved()
    assert (threat.size(x, active.best) <= 1 + 1e-9).all()
    true = Untargeted(y)(model(x + active.best))
    assert (true - active.reached).abs().max() < 1e-9
    assert (active.reached >= 0).any() or len(wide) == 18
    assert len(climbed(threat.scaled(4.0), [])) < len(active)  # larger ones would have won more


def test_on_a_line_coming_in_from_outside_wins_exactly_what_can_be_won() -> None:
    world = two_class(rows=16)
    needed = world.radius(1.0)
    threat = L1(radius=1.001 * float(needed.median()))
    active = Active(world.model, world.x, world.goal, threat, None)
    ascent(
        active, threat.none(world.x), mixed(18), cosine(18, 3.0), wide=narrowing(18, 4.0),
    )  # fmt: skip
    assert torch.equal(active.reached >= 0, needed <= threat.radius * (1 + 1e-9))


@pytest.mark.parametrize("tier", list(TIERS))
def test_under_the_sum_norm_a_round_more_that_others_do_not_get(tier: str) -> None:
    plain = TIERS[tier]
    assert tier_of(tier, LInf(radius=0.1)) is plain and tier_of(tier, L2(radius=0.1)) is plain
    more = tier_of(tier, L1(radius=0.1))
    assert len([w for w in more.rounds if w.wide == 1]) == len(plain.rounds)
    assert [w for w in more.rounds if w.wide > 1]


@pytest.mark.parametrize("tier", list(TIERS))
def test_under_the_sum_norm_other_rows_change_nothing_and_the_ledger_sums(tier: str) -> None:
    model, x, y = curved()
    ensemble, threat = AdaptiveEnsemble(tier=tier), L1(radius=0.5)
    whole = search(ensemble, model, x, Untargeted(y), threat)
    assert 0 < int(whole.broken.sum()) < len(x)
    parts = search(ensemble, model, x, Untargeted(y), threat, chunk=7)
    assert torch.equal(parts.broken, whole.broken)
    assert (parts.margin - whole.margin).abs().max() < 1e-9
    rows = torch.tensor([7, 2, 30])
    some = search(
        ensemble, model, x[rows], Untargeted(y[rows]), threat, dice=Dice.of(40).part(rows)
    )
    assert (some.margin - whole.margin[rows]).abs().max() < 1e-9
    assert sum(s.forwards for s in whole.stages) == whole.passes.forwards
    assert sum(s.backwards for s in whole.stages) == whole.passes.backwards
    assert torch.equal(whole.by >= 0, whole.broken)


def test_a_broken_row_costs_no_further_pass_while_others_come_in_from_outside() -> None:
    model, x, y = curved()
    decided: set[bytes] = set()
    threat, wasted = L1(radius=0.5), []

    def tapped(z: Tensor) -> Tensor:
        outputs = model(z)
        inside = (z.detach()[:, None] - x[None]).abs().sum(2) <= threat.radius * (1 + 1e-9)
        near, own = inside.any(1), inside.double().argmax(1)
        for k in near.nonzero().flatten().tolist():
            name = x[own[k]].numpy().tobytes()
            wasted.extend([name] if name in decided else [])
        won = near & (Untargeted(y[own])(outputs.detach()) >= 0)
        decided.update(x[r].numpy().tobytes() for r in own[won].tolist())
        return outputs

    found = search(AdaptiveEnsemble(), tapped, x, Untargeted(y), threat)
    # the judge looks once at each broken row
    assert found.broken.any() and len(wasted) <= int(found.broken.sum())


def test_a_radius_per_row_takes_the_same_way() -> None:
    model, x, y = curved()
    threat = Rowwise(L1(radius=0.5), torch.tensor([1.0, 0.5]).repeat(20).double())
    found = search(AdaptiveEnsemble(tier="fast"), model, x, Untargeted(y), threat)
    assert (threat.size(x, found.change) <= 1 + 1e-9).all()
    one = search(AdaptiveEnsemble(tier="fast"), model, x, Untargeted(y), L1(radius=0.25))
    assert found.broken.sum() >= one.broken.sum()
