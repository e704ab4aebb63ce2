"""Greedy coordinate gradient against autograd, enumeration and a world whose worst is known."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from holdfast.attacks.embedding import token_scores
from holdfast.attacks.gcg import GCG
from holdfast.attacks.goals import Says
from holdfast.attacks.several import Several
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.goal import AtLeast, Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Language, Tokens
from holdfast.threats.norms import LInf
from holdfast.threats.slots import Slots, Trigger
from holdfast.threats.tokens import Substitutions

NEVER = 1e9


def _deep(seed=0, vocabulary=30):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        table = torch.nn.Embedding(vocabulary, 8).double()
        body = torch.nn.GRU(8, 16, batch_first=True).double()
        out = torch.nn.Linear(16, 5).double()
    net = torch.nn.ModuleList([table, body, out]).requires_grad_(False)
    return net, lambda ids: net[2](net[1](net[0](ids))[0][:, -1])


def test_the_gradient_is_that_of_an_explicit_product_with_one_hot_rows():
    net, model = _deep()
    x = torch.randint(1, 30, (4, 6), generator=torch.Generator().manual_seed(0))
    goal, threat = Untargeted(model(x).argmax(1)), Substitutions(vocabulary=30, blank=-1)
    margin, height, scores = token_scores(model, x, goal, threat, x)
    hot = torch.nn.functional.one_hot(x, 30).double().requires_grad_()
    z = net[2](net[1](hot @ net[0].weight)[0][:, -1])
    want = torch.logsumexp(goal.ways(z), 1)
    (gradient,) = torch.autograd.grad(want.sum(), hot)
    torch.testing.assert_close(scores, gradient)
    torch.testing.assert_close(height, want.detach())
    torch.testing.assert_close(margin, goal(z).detach())
    assert all(p.grad is None for p in net.parameters())


def test_first_order_estimates_rank_what_swaps_really_do():
    _, model = _deep()
    x = torch.randint(1, 30, (6, 6), generator=torch.Generator().manual_seed(1))
    goal, threat = AtLeast(torch.full((6,), NEVER).double()), Substitutions(vocabulary=30, blank=-1)
    scores = token_scores(model, x, goal, threat, x, "margin")[2][:, -1]
    swapped = x[:, None].repeat(1, 30, 1)
    swapped[:, :, -1] = torch.arange(30)
    true = model(swapped.flatten(0, 1))[:, 0].view(6, 30)
    ranks = [torch.corrcoef(torch.stack([s.argsort().argsort(), t.argsort().argsort()]).double())
             for s, t in zip(scores, true, strict=True)]  # fmt: skip
    assert sum(float(r[0, 1]) for r in ranks) / 6 > 0.2


def test_additive_worlds_are_solved_exactly():
    world = Tokens.make(rows=10, vocabulary=12)
    goal = AtLeast(torch.full((10,), NEVER).double())
    threat = Slots(token=0, vocabulary=12, forbid=(5, 6))
    attack = GCG(steps=3, topk=1, samples=2, climb="margin")  # the gradient ranks exactly here
    found = search(attack, world.model, world.x, goal, threat)
    pairs = torch.tensor([p for p in product(range(12), repeat=2) if not {5, 6} & set(p)])
    for row in range(10):
        x = world.x[row].expand(len(pairs), -1)
        best = world.model(threat.apply(x, pairs))[:, 0].max()
        torch.testing.assert_close(found.margin[row] + NEVER, best, atol=1e-6, rtol=0)
    assert not ({5, 6} & set(found.change.flatten().tolist()))


def test_edits_stay_within_the_budget_of_other_threats():
    world = Tokens.make(rows=12)
    threat = Substitutions(edits=2, vocabulary=12)
    found = search(GCG(steps=8, samples=24, together=24), world.model, world.x, world.goal, threat)
    worst = world.worst(2, threat.choices(world.x))
    assert (found.margin <= worst + 1e-9).all()
    assert (found.broken == (worst >= 0)).float().mean() >= 0.9


def test_monotone_search_never_goes_back():
    _, model = _deep()
    x = torch.zeros(3, 4, dtype=torch.int64)
    goal, threat = AtLeast(torch.full((3,), NEVER).double()), Slots(token=0, vocabulary=30)
    one = GCG(steps=1, topk=4, samples=4, monotone=True, climb="margin")
    few = search(one, model, x, goal, threat)
    more = search(
        GCG(steps=6, topk=4, samples=4, monotone=True, climb="margin"), model, x, goal, threat
    )
    assert (more.margin >= few.margin).all() and (few.margin >= few.clean).all()


@pytest.mark.parametrize("growing", [True, False])
def test_one_trigger_is_as_good_as_the_best_of_all_tokens(growing):
    world = Tokens.make(rows=12, vocabulary=20)
    x = torch.cat([world.x[:, :-1].clamp(min=1), torch.zeros(12, 1, dtype=torch.int64)], 1)
    level = torch.full((12,), 3.0 if growing else NEVER).double()
    goal, threat = AtLeast(level, 1), Trigger(token=0, vocabulary=20)
    attack = GCG(steps=14, topk=20, samples=60, climb="margin", growing=growing)
    found = search(attack, world.model, x, goal, threat)
    with torch.no_grad():
        every = torch.stack([goal(world.model(x.masked_fill(x == 0, t))) for t in range(20)])
    assert (found.change == found.change[0]).all()
    if growing:  # judged by the rows that have joined, it may stop before the best
        assert int(found.broken.sum()) >= int((every >= 0).sum(1).double().quantile(0.75))
    else:
        assert float(found.margin.mean()) >= float(every.mean(1).max()) - 1e-6


def test_calls_are_counted():
    world = Tokens.make(rows=5)
    goal = AtLeast(torch.full((5,), NEVER).double())
    threat = Slots(token=0, vocabulary=12)
    found = search(GCG(steps=3, samples=7), world.model, world.x, goal, threat)
    assert found.passes.forwards == 5 * (1 + 3 * (1 + 7) + 1)
    assert found.passes.backwards == 5 * 3


def test_saying_a_target_is_the_loss_of_teacher_forcing():
    world = Language.make(rows=6, tokens=7)
    wanted = torch.zeros_like(world.mask)
    wanted[:, 3:5] = True
    goal, z = Says.of(world.ids, wanted), world.model(world.ids)
    loss = torch.nn.functional.cross_entropy(
        z[:, 2:4].flatten(0, 1), world.ids[:, 3:5].flatten(), reduction="none"
    ).view(6, 2)
    torch.testing.assert_close(goal.soft(z), -loss.mean(1))
    said = (z[:, 2:4].argmax(2) == world.ids[:, 3:5]).all(1)
    assert torch.equal(goal(z) >= 0, said)


class _Next(torch.nn.Module):
    """A small language model of 12 tokens: logits of the next one."""

    def __init__(self, seed, vocabulary=12):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.table = torch.nn.Embedding(vocabulary, 6).double()
            self.body = torch.nn.GRU(6, 12, batch_first=True).double()
            self.out = torch.nn.Linear(12, vocabulary).double()
        self.requires_grad_(False)

    def read(self, embedded):
        return self.out(self.body(embedded)[0][:, -1]) * 4

    def forward(self, ids):
        return self.read(self.table(ids))


def test_the_gradient_of_several_models_is_that_of_their_mean_loss():
    models = [_Next(seed) for seed in (0, 1)]
    x = torch.randint(1, 12, (4, 5), generator=torch.Generator().manual_seed(0))
    goal = Says(torch.tensor([3, 5, 7, 2])).by_all(2)
    threat = Substitutions(vocabulary=12, blank=-1)
    margin, height, scores = token_scores(Several(models), x, goal, threat, x)
    hot = torch.nn.functional.one_hot(x, 12).double().requires_grad_()
    losses = [
        torch.nn.functional.cross_entropy(m.read(hot @ m.table.weight), goal.y[:, 0],
                                          reduction="none")
        for m in models
    ]  # fmt: skip
    want = -torch.stack(losses).mean(0)
    (gradient,) = torch.autograd.grad(want.sum(), hot)
    torch.testing.assert_close(height, want.detach())
    torch.testing.assert_close(scores, gradient)
    each = torch.stack([Says(goal.y[:, 0])(m(x)) for m in models])
    torch.testing.assert_close(margin, each.amin(0))


def test_one_trigger_for_several_models_is_the_best_of_all_pairs():
    """Three prompts, two models, two tokens for all: enumeration knows the least mean loss."""
    both, size = Several([_Next(seed) for seed in (3, 4)]), 12
    x = torch.randint(1, size, (3, 4), generator=torch.Generator().manual_seed(2))
    x = torch.cat([x, torch.zeros(3, 2, dtype=torch.int64)], 1)
    threat = Trigger(token=0, vocabulary=size)
    pairs = torch.tensor(list(product(range(size), repeat=2)))
    made = x.repeat(len(pairs), 1)
    made[:, -2:] = pairs.repeat_interleave(3, 0)
    every = both(made).view(len(pairs), 3, 2, size)
    heights = every.log_softmax(3).mean((1, 2))  # (pairs, V), the same target for all prompts
    target = int(heights.amax(0).argmax())
    goal = Says(torch.full((3,), target)).by_all(2)
    attack = GCG(steps=12, topk=12, samples=48, growing=False)
    change = attack(both, x, goal, threat)
    lead = every[..., target] - every.index_fill(3, torch.tensor(target), -torch.inf).amax(3) >= 0
    won = lead.all(2).sum(1)  # prompts on which both models say it, for each pair
    reached = int((goal(both(threat.apply(x, change))) >= 0).sum())
    assert (change == change[0]).all()
    assert won.max() > won.median() and reached == int(won.max())


def test_several_models_must_share_their_tokens():
    with pytest.raises(ConfigError):
        Several([])
    with pytest.raises(ShapeError):
        Several([_Next(0), _Next(1, vocabulary=9)])(torch.zeros(1, 3, dtype=torch.int64))


def test_models_without_an_embedding_are_refused():
    world = Tokens.make(rows=3)
    table = torch.randn(12, 3).double()
    threat = Slots(token=0, vocabulary=12)
    with pytest.raises(Unsupported, match="no gradient"):
        search(GCG(), lambda ids: table[ids].sum(1), world.x, AtLeast(torch.ones(3) * 99), threat)
    with pytest.raises(Unsupported, match="no threat to tokens"):
        GCG()(world.model, world.x, world.goal, LInf())


def test_changes_do_not_depend_on_the_batch_of_proposals():
    world = Tokens.make(rows=6)
    threat, dice = Slots(token=0, vocabulary=12), Dice.of(6)
    goal = AtLeast(torch.full((6,), NEVER).double())
    one, many = (
        GCG(steps=3, samples=8, together=t)(
            world.model, world.x, goal, threat, dice=dice.part(slice(0, 6))
        )
        for t in (1, 8)
    )
    assert torch.equal(one, many)
