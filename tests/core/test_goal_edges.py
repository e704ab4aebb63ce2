"""Goals at their edges: wrong labels, one class, no rows, ties, refusals."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.goal import AllOf, AnyOf, AtLeast, Pixels, Refuses, Targeted, Untargeted
from holdfast.testing.worlds import Language

Z = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])


@pytest.mark.parametrize("bad", [
    lambda: Untargeted(torch.tensor([0, 3]))(Z), lambda: Untargeted(torch.tensor([0, -1]))(Z),
    lambda: Untargeted(torch.tensor([0.0, 1.0]))(Z),
    lambda: Untargeted(torch.tensor([[0], [1]]))(Z),
    lambda: Untargeted(torch.tensor([0, 0]))(Z[:, :1]), lambda: Untargeted(torch.tensor([0]))(Z),
    lambda: Targeted(torch.tensor([0, 3]))(Z), lambda: Targeted(torch.tensor([0, -100]))(Z),
    lambda: Targeted(torch.tensor([0, 0]))(Z[:, :1]), lambda: Targeted(torch.tensor([0, 0]))(Z[0]),
    lambda: Targeted(torch.tensor([0, 3])).soft(Z[:1]), lambda: AtLeast(torch.zeros(3))(Z),
    lambda: Untargeted(torch.tensor([0, 5])).linear(3), lambda: Pixels(torch.tensor([0, 1]))(Z[0]),
    lambda: Refuses(torch.tensor([0]), (1,))(Z), lambda: Refuses(torch.tensor([0, 0]), (3,))(Z),
    lambda: Pixels(torch.tensor([0, 1]))(Z[:, :1]),
])  # fmt: skip
def test_what_does_not_fit_is_a_shape_error(bad) -> None:
    with pytest.raises(ShapeError):
        bad()


@pytest.mark.parametrize("bad", [
    lambda: Pixels(torch.zeros(1).long(), share=0.0), lambda: Pixels(torch.zeros(1).long(), 1.5),
    lambda: AnyOf([]), lambda: AllOf([]), lambda: Refuses(torch.zeros(1).long(), ()),
    lambda: Refuses(torch.zeros(1).long(), (1,), sign=0),
    lambda: Refuses(torch.zeros(1).long(), (-1,)),
])  # fmt: skip
def test_nonsense_is_a_config_error(bad) -> None:
    with pytest.raises(ConfigError):
        bad()


def test_a_tie_is_won_and_rows_without_label_never() -> None:
    found = Untargeted(torch.tensor([0, 1]))(Z)
    assert found[0] == 0 and found[1] == -1
    assert Untargeted(torch.tensor([-100, 1]))(Z)[0] == -torch.inf


def test_no_rows() -> None:
    none = torch.zeros(0, dtype=torch.long)
    for goal in (Untargeted(none), Targeted(none), AtLeast(none.float()), Refuses(none, (0,))):
        assert goal(Z[:0]).shape == (0,) and goal.soft(Z[:0]).shape == (0,)


def test_two_classes_mirror_each_other() -> None:
    z = torch.tensor([[0.3, -0.2], [1.0, 4.0]])
    y = torch.tensor([0, 0])
    assert torch.equal(Untargeted(y)(z), Targeted(1 - y)(z))
    assert torch.equal(Untargeted(y)(z), -Untargeted(1 - y)(z))


def test_refusing_is_what_greedy_decoding_does() -> None:
    world = Language.make(rows=40)
    with torch.no_grad():
        z = world.model(world.x)
    chosen = z[torch.arange(40), world.last].argmax(1)
    refuses = torch.isin(chosen, torch.tensor(world.refusing))
    assert refuses.any() and not refuses.all()
    assert torch.equal(world.goal()(z) >= 0, refuses)
    assert torch.equal(world.goal(-1)(z), -world.goal()(z))
    rows = torch.tensor([5, 2])
    assert torch.equal(world.goal().take(rows)(z[rows]), world.goal()(z)[rows])
    last = z[torch.arange(40), world.last]
    assert torch.equal(world.goal()(last), world.goal()(z))


def test_the_lookup_world_knows_its_texts() -> None:
    """Log-probabilities summed over the model's own outputs are those of the table."""
    world = Language.make(rows=20)
    with torch.no_grad():
        steps = world.model(world.x).log_softmax(-1)
    for row in range(20):
        ids = world.ids[row, : int(world.last[row]) + 1]
        by_hand = sum(float(steps[row, t, ids[t + 1]]) for t in range(len(ids) - 1))
        assert abs(by_hand - float(world.log_chance()[row])) < 1e-9
