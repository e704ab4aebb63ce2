"""Threats to tokens against enumeration and against numbers read off the matrix."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.testing.worlds import Tokens
from holdfast.threats.grammar import parse
from holdfast.threats.residues import RESIDUES, Residues, blosum62, residues
from holdfast.threats.sentences import Sentences
from holdfast.threats.slots import Slots, Trigger
from holdfast.threats.tokens import Substitutions


def test_admissible_substitutions_are_those_of_the_table():
    table = torch.tensor([[0, 0], [2, 3], [1, 1], [3, 3]])
    threat, x = Substitutions(edits=1, table=table), torch.tensor([[1, 0, 2]])
    every = torch.tensor(list(product(range(4), repeat=3)))
    fits = threat.size(x.expand(len(every), -1), every) <= 1
    found = {tuple(row) for row in every[fits].tolist()}
    assert found == {(1, 0, 2), (2, 0, 2), (3, 0, 2), (1, 0, 1)}


def test_projecting_keeps_the_first_edits_that_fit():
    threat, x = Substitutions(edits=2, vocabulary=9), torch.tensor([[1, 2, 3, 4, 0]])
    wanted = torch.tensor([[5.2, 99.0, 6.0, 7.0, 8.0]])
    assert threat.project(x, wanted).tolist() == [[5, 2, 6, 4, 0]]


def test_neighbours_move_and_stay_admissible():
    world = Tokens.make(rows=40)
    threat, dice = Substitutions(edits=2, vocabulary=12), Dice.of(40)
    change = threat.sample(world.x, dice)
    moved = threat.near(world.x, change, 0.1, dice)
    assert (threat.size(world.x, moved) <= 1).all()
    assert (moved != change).any(1).float().mean() > 0.9


def test_price_of_residues_is_that_of_the_paper():
    b, letters = blosum62(), {letter: i for i, letter in enumerate(RESIDUES)}
    assert torch.equal(b, b.T) and int(b.diag().sum()) == 116
    x = residues("AW")[None]
    change = torch.tensor([[letters["R"], letters["F"]]])
    assert Residues().price(x, change).tolist() == [[5.0, 10.0]]
    assert Residues(budget=15.0).admits(x, change) and not Residues(budget=14.9).admits(x, change)
    assert not Residues(sites=1).admits(x, change)
    with pytest.raises(ConfigError, match="'B'"):
        residues("AB")


def test_slots_are_filled_from_left_to_right():
    x = torch.tensor([[7, 0, 3, 0], [0, 0, 5, 6]])
    threat = Slots(token=0, vocabulary=9, forbid=(4,))
    assert threat.apply(x, torch.tensor([[1, 2], [8, 3]])).tolist() == [[7, 1, 3, 2], [8, 3, 5, 6]]
    assert threat.size(x, torch.tensor([[1, 4], [1, 1]])).tolist() == [torch.inf, 1.0]
    assert 4 not in threat.sample(x.repeat(50, 1), Dice.of(100))
    with pytest.raises(ShapeError, match="free positions"):
        threat.none(torch.tensor([[0, 1], [0, 0]]))


def test_what_cannot_be_written_is_not_admissible():
    def writable(ids):
        return (ids != 8).all(1)

    x = torch.tensor([[7, 0, 0]])
    threat = Slots(token=0, vocabulary=9, writable=writable)
    assert threat.size(x, torch.tensor([[8, 1]])).isinf().all()
    assert threat.project(x, torch.tensor([[8, 1]])).tolist() == [[0, 0]]


def test_a_trigger_is_one_for_all_rows():
    x = torch.tensor([[7, 0, 3], [0, 5, 6]])
    threat = Trigger(token=0, vocabulary=50)
    change = threat.sample(x, Dice.of(2, seed=3))
    assert threat.coupled and change[0] == change[1]
    assert threat.size(x, torch.tensor([[1], [2]]))[1].isinf()
    assert threat.project(x, torch.tensor([[1], [2]])).tolist() == [[1], [1]]


def test_children_add_one_sentence_for_each_wrong_option():
    table = torch.arange(8)[:, None].repeat(1, 4)
    table[1] = torch.tensor([2, 3, 4, 5])
    threat = Sentences(vocabulary=8, options=2, table=table)
    x = torch.tensor([[0, 0, 1, 0, 0]]).repeat(60, 1)
    made = threat.children(x, threat.none(x), Dice.of(60))
    assert made.shape == (60, 2, 4) and ((made != 0).sum(2) == 1).all()
    assert set(made[:, 0].unique().tolist()) == {0, 2, 3}
    assert set(made[:, 1].unique().tolist()) == {0, 4, 5}
    assert (made[..., [0, 3]] == 0).all()  # next to the question, on either side
    full = torch.tensor([[2, 3, 4, 5]]).expand(60, -1)
    assert torch.equal(threat.children(x, full, Dice.of(60)), full[:, None].expand(-1, 2, -1))


def test_the_grammar_reads_them():
    assert parse("substitutions:3") == Substitutions(edits=3)
    assert parse("residues:12.5:2") == Residues(budget=12.5, sites=2)
    assert parse("slots:0:99:1:4,5").forbid == (4, 5)
    with pytest.raises(ConfigError, match="whole numbers"):
        parse("substitutions:few")


def test_images_are_refused():
    with pytest.raises(Unsupported, match="token ids"):
        Substitutions().none(torch.rand(2, 3))
