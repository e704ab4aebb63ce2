"""Laws of sources: as many rows as asked for, drawn row by row, with their truth."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Source
from holdfast.testing.laws import LawBroken

ROWS = 200


def _made(method: Source, count: int = ROWS, seed: int = 3) -> Batches:
    return method(count, Dice.of(count, seed))


def _inputs(batches: Batches) -> Tensor:
    if not isinstance(batches.x, Tensor):
        raise LawBroken("a source of numbers handed back something else")
    return batches.x


def law_as_many_rows_as_asked_for(method: Source) -> None:
    """It gives exactly n rows, also for n = 0 and n = 1."""
    for count in (0, 1, ROWS):
        made = _made(method, count)
        if len(made) != count or len(_inputs(made)) != count:
            raise LawBroken(f"asked for {count} rows it gives {len(made)}")


def law_rows_lie_in_the_unit_box(method: Source) -> None:
    """Inputs are finite and lie in [0, 1]."""
    x = _inputs(_made(method))
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise LawBroken("rows lie outside [0, 1]")


def law_same_dice_same_rows(method: Source) -> None:
    """Equal dice give equal rows, other seeds other rows; the global state stays as it is."""
    state = torch.random.get_rng_state()
    once, again, other = _made(method), _made(method), _made(method, seed=4)
    if not torch.equal(_inputs(once), _inputs(again)) or not torch.equal(once.y, again.y):
        raise LawBroken("equal dice give different rows")
    if torch.equal(_inputs(once), _inputs(other)):
        raise LawBroken("the seed does not matter")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken("touches the global random state")


def law_first_rows_do_not_depend_on_how_many(method: Source) -> None:
    """The first rows of a large draw are those of a small one."""
    few, many = _inputs(_made(method, 20)), _inputs(_made(method))[:20]
    if not torch.allclose(few, many, atol=1e-6):
        raise LawBroken("the first 20 rows change when more are asked for")


def law_names_every_class(method: Source) -> None:
    """Every class occurs, and each has a name."""
    made = _made(method)
    if sorted(set(made.y.tolist())) != list(range(len(made.classes))):
        raise LawBroken(f"{len(made.classes)} names for labels {sorted(set(made.y.tolist()))}")


def law_truth_knows_the_rule(method: Source) -> None:
    """`truth.rule` answers nearly all rows right: the truth is about these rows."""
    made = _made(method)
    rule = getattr(made.truth, "rule", None)
    if rule is None:
        raise LawBroken("the rows come without their truth")
    if float((rule(_inputs(made)) == made.y).double().mean()) < 0.98:
        raise LawBroken("the rule in truth is wrong on more than 2 % of the rows")
