"""Costly changes of categorical columns: prices, greed against enumeration, soft changes."""

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.all_edits import AllEdits
from holdfast.attacks.substitution import WordSubstitution
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.layers.categories import ValueEmbedding, grouped
from holdfast.objectives.categories import CategoricalTraining
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.categories import Categories

G = torch.Generator().manual_seed(0)
ROWS, COLUMNS, VALUES = 60, 3, 3


def scene() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(ValueEmbedding(COLUMNS, VALUES, 2), nn.Linear(6, 8), nn.ReLU(),
                              nn.Linear(8, 2)).double()  # fmt: skip
    x = torch.randint(VALUES, (ROWS, COLUMNS), generator=G)
    costs = torch.rand(COLUMNS, VALUES, VALUES, generator=G).double() * (1 - torch.eye(VALUES))
    costs[1, 0, 1:] = torch.inf
    return model, x, costs


def test_prices_are_those_of_the_table() -> None:
    _, x, costs = scene()
    threat = Categories(budget=1.0, values=VALUES, costs=costs)
    changed = torch.randint(VALUES, x.shape, generator=G)
    price = threat.price(x, changed)
    for row, (a, b) in enumerate(zip(x.tolist(), changed.tolist(), strict=True)):
        for i in range(COLUMNS):
            assert price[row, i] == costs[i, a[i], b[i]]
    wrong = threat.price(x, x + VALUES)
    assert wrong.isinf().all()


def test_greed_never_beats_every_change_and_mostly_finds_it() -> None:
    model, x, costs = scene()
    y = model(x).argmax(1)
    threat = Categories(budget=0.8, values=VALUES, costs=costs)
    every = search(AllEdits(sites=3), model, x, Untargeted(y), threat)
    greedy = search(WordSubstitution(order="every"), model, x, Untargeted(y), threat)
    assert 0.1 < every.broken.double().mean() < 0.95
    assert not (greedy.broken & ~every.broken).any()
    assert (greedy.broken == every.broken).double().mean() > 0.9
    sealed = (x[:, 1] == 0) & (every.change[:, 1] != 0)
    assert not sealed.any()  # what costs infinitely much never moves


def test_soft_changes_are_worse_than_none_and_within_the_budget() -> None:
    model, x, costs = scene()
    y = model(x).argmax(1)
    soft = F.one_hot(x, VALUES).double()
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(ROWS), 1)
    hard = CategoricalTraining(budget=0.3, costs=costs, steps=10)
    u = hard.worst(run, soft, y)
    assert torch.allclose(u.sum(2), torch.ones(ROWS, COLUMNS).double()) and (u >= 0).all()
    paid = torch.einsum("bls,lst,blt->b", soft, costs.masked_fill(costs.isinf(), 1e9), u)
    assert (paid <= 0.3 + 1e-6).all()
    batch = Batch(soft, y, torch.arange(ROWS))
    assert hard(run, batch).mean() > 1.2 * CategoricalTraining(budget=0.0)(run, batch).mean()


def test_close_values_share_a_group() -> None:
    made = ValueEmbedding(2, 4, 1)
    with torch.no_grad():
        made.table.copy_(torch.tensor([[0.0, 0.1, 5.0, 5.1], [0.0, 1.0, 2.0, 10.0]])[..., None])
    groups = made.groups(0.05)
    assert groups[0, 0] == groups[0, 1] != groups[0, 2] == groups[0, 3]
    assert len(groups[1].unique()) == 4
    assert torch.equal(grouped(torch.tensor([[3, 3]]), groups)[0], groups[:, 3])
