"""Greedy replacement against worlds whose fewest edits are known, and against enumeration."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.all_edits import AllEdits
from holdfast.attacks.goals import Moves
from holdfast.attacks.substitution import WordSubstitution
from holdfast.core.errors import Unsupported
from holdfast.core.goal import AtLeast, Untargeted
from holdfast.ops.superpose import rmsd
from holdfast.run.search import search
from holdfast.testing.worlds import Tokens, draws
from holdfast.testing.worlds.folds import Fold
from holdfast.threats.residues import Residues
from holdfast.threats.slots import Slots
from holdfast.threats.tokens import Substitutions


def _bags(rows=60, classes=2):
    world = Tokens.make(rows=rows, length=12, vocabulary=60, classes=classes, seed=3)
    table = torch.randint(1, 60, (60, 4), generator=draws(5))
    table[0] = 0
    return world, table


def test_success_grows_with_the_budget_and_never_beats_the_optimum():
    world, table = _bags(classes=3)
    shares = []
    for edits in (0, 1, 2, 4, 10):
        threat = Substitutions(edits=edits, table=table)
        found = search(WordSubstitution(), world.model, world.x, world.goal, threat)
        worst = world.worst(edits, threat.choices(world.x))
        assert (found.margin <= worst + 1e-9).all()
        assert ((found.change != world.x).sum(1) <= edits).all()
        shares.append(float(found.broken.double().mean()))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] >= 0.9


def test_ranking_asks_once_about_the_text_and_once_about_each_word():
    world, _ = _bags(rows=7)
    words = int((world.x != 0).sum())
    nothing = Substitutions(edits=0, vocabulary=60)
    asked = []

    def model(ids):
        asked.append(len(ids))
        return world.model(ids)

    WordSubstitution()(model, world.x, AtLeast(torch.full((7,), 99.0)), nothing)
    assert sum(asked) == 7 + words


def test_the_first_word_is_the_one_that_matters_most():
    world, table = _bags()
    threat = Substitutions(edits=1, table=table)
    goal = AtLeast(torch.full((60,), 1e6).double())
    found = search(WordSubstitution(), world.model, world.x, goal, threat)
    own = world.model.table(world.x) * world.model.weights[:, None]
    lost = (own @ world.model.head.weight.T)[..., 0].masked_fill(world.x == 0, torch.inf)
    first = (found.change != world.x).long().argmax(1)
    # Blanking the word that speaks most against the goal raises it most.
    moved = (found.change != world.x).any(1)
    assert moved.sum() > 30
    assert (first == lost.argmin(1))[moved].double().mean() > 0.9


def test_of_all_choices_that_win_the_most_similar_is_taken():
    world, table = _bags()
    threat = Substitutions(edits=1, table=table)

    def similar(ids, changed):
        return 1 - (changed - ids).abs().sum(1) / 100

    plain = search(WordSubstitution(), world.model, world.x, world.goal, threat)
    near = search(WordSubstitution(similar=similar), world.model, world.x, world.goal, threat)
    some = plain.broken & near.broken
    assert torch.equal(plain.broken, near.broken) and some.sum() >= 5
    assert (similar(world.x, near.change) >= similar(world.x, plain.change))[some].all()
    strict = WordSubstitution(similar=similar, least=0.9)
    kept = search(strict, world.model, world.x, world.goal, threat)
    assert (similar(world.x, kept.change) >= 0.9).all()


def test_results_do_not_depend_on_how_many_choices_go_together():
    world, table = _bags(rows=20)
    threat = Substitutions(edits=3, table=table)
    margins = [
        search(WordSubstitution(together=t), world.model, world.x, world.goal, threat)
        for t in (1, 3, 50)
    ]
    assert torch.equal(margins[0].broken, margins[2].broken)
    left = ~margins[0].broken
    torch.testing.assert_close(margins[0].margin[left], margins[1].margin[left])
    assert margins[0].passes.forwards <= margins[2].passes.forwards


def test_one_site_of_a_fold_is_solved_exactly_and_budgets_help():
    x = torch.randint(20, (3, 7), generator=draws(1))
    model = Fold(seed=1).requires_grad_(False)
    goal = Moves(model(x), 1e6, rmsd)
    every = WordSubstitution(order="every", together=20)
    one = Residues(budget=99.0, sites=1)
    greedy = search(every, model, x, goal, one)
    best = search(AllEdits(sites=1, together=50), model, x, goal, one)
    # Gain per price is not gain: with one site the price decides, so equal prices are compared.
    unit = Substitutions(edits=1, vocabulary=20, blank=-1)
    same = search(every, model, x, goal, unit), search(AllEdits(sites=1), model, x, goal, unit)
    torch.testing.assert_close(same[0].margin, same[1].margin)
    assert (greedy.margin <= best.margin + 1e-6).all()
    moved = [search(every, model, x, goal, Residues(budget=b)).margin for b in (0.0, 6.0, 20.0)]
    assert (moved[0] <= moved[1]).all() and (moved[1] <= moved[2] + 0.2).all()


def test_all_edits_is_the_exact_worst_of_additive_worlds():
    world = Tokens.make(rows=4, length=4, vocabulary=7)
    threat = Substitutions(edits=2, vocabulary=7)
    found = search(AllEdits(together=40), world.model, world.x, world.goal, threat)
    worst = world.worst(2, threat.choices(world.x))
    assert torch.equal(found.broken, worst >= 0)
    left = ~found.broken
    torch.testing.assert_close(found.margin[left], worst[left])
    with pytest.raises(Unsupported, match="too many"):
        search(AllEdits(most=5), world.model, world.x, world.goal, threat)


def test_ranking_needs_a_token_that_stands_for_nothing():
    world = Tokens.make(rows=2)
    goal = Untargeted(world.y)
    with pytest.raises(Unsupported, match="stands for nothing"):
        search(WordSubstitution(), world.model, world.x, goal, Slots(token=0, vocabulary=12))
