"""What attacks on labels alone share: a first winning change, and the way back to the boundary."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.attacks.smallest import Rows, Smallest
from holdfast.core.dice import Dice
from holdfast.ops.batch import fit, pick
from holdfast.ops.geometry import project_l1, project_l2, project_linf

_NEAREST = {1.0: project_l1, 2.0: project_l2, inf: project_linf}


def shortened(rows: Rows, change: Tensor, length: Tensor) -> Tensor:
    """The nearest change of at most that length `(A,)` within the box.

    For a change inside the box that is a blend with no change in the Euclidean norm, and each
    coordinate clamped in the maximum norm.
    """
    return _NEAREST[rows.threat.order](change, length, *rows.room)


def asked(known: Smallest, rows: Rows, change: Tensor, which: Tensor) -> Tensor:
    """`(A,)` bool: whether a change wins; only some rows are asked, decided ones never.

    Args:
        known: remembers what wins.
        rows: under attack.
        change: of all of them, inside the box.
        which: `(A,)` bool, the rows to ask.

    Cost: one forward per row asked.
    """
    won = torch.zeros_like(which)
    at = (which & ~decided(known, rows)).nonzero().flatten()
    if len(at):
        some = rows if len(at) == len(rows) else rows.take(at)
        some_change = change if some is rows else change[at]
        margin = some.margins(some_change)
        won[at] = wins = margin >= 0
        if bool(wins.any()):  # labels say no more of changes that do not win
            known.see(some, some_change, margin)
    return won


def decided(known: Smallest, rows: Rows) -> Tensor:
    """`(A,)` bool: rows that cost no further pass."""
    enough = 0.0 if known.shrink else known.threat.radius
    return known.length[rows.index] <= enough


def started(known: Smallest, tries: int, pool: Tensor | None) -> tuple[Rows, Tensor]:
    """Rows for which some start wins, and that change; the other rows are given up.

    Every row tries the inputs of a pool, then draws until its label changes: uniform noise, fine
    noise of black and white with a drawn brightness, and blocks of black and white, in turn;
    many models give all images of one kind of noise the same label.

    Cost: at most a forward per row and input of the pool, and `tries` more.
    """
    rows = known.still()
    # Draws of their own: how many are made depends on the rows, the attack's must not.
    dice = rows.dice.spawn("start")
    change, has = rows.threat.none(rows.x).detach(), rows.index < 0
    given = 0 if pool is None else len(pool)
    for number in range(given + tries):
        if bool((has | decided(known, rows)).all()):
            break
        if pool is not None and number < given:
            start = pool[number].to(rows.x).expand_as(rows.x)
        else:
            start = rows.threat.low + rows.width * _noise(rows.x, dice, number - given)
        start = rows.boxed(start - rows.x)
        won = asked(known, rows, start, ~has)
        change, has = pick(won, start, change), has | won
    stay = (has & ~decided(known, rows)).nonzero().flatten()
    return rows.take(stay), change[stay]


def _noise(x: Tensor, dice: Dice, number: int) -> Tensor:
    """An input drawn at random from [0, 1], of one of four kinds."""
    kind = number % 4
    if kind in (1, 3) and 2 < x.dim() < 6:
        sides = [min(side, 2 if kind == 1 else 3) for side in x.shape[2:]]
        blocks = dice.integers(2, (x.shape[1], *sides), device=x.device).to(x.dtype)
        return F.interpolate(blocks, x.shape[2:])
    fine = dice.uniform(x.shape[1:], device=x.device, dtype=x.dtype)
    if kind == 0:
        return fine
    bright = dice.uniform(device=x.device, dtype=x.dtype)
    return (fine < fit(bright, fine)).to(x.dtype)


def bisected(known: Smallest, rows: Rows, change: Tensor, share: float) -> Tensor:
    """Winning changes, shortened until the boundary is closer than a share of their length.

    The winning end is handed back. Unless the attack is to go on shrinking, the threat's own
    radius is asked first; where it does not win, the boundary lies beyond it, and no shorter
    change is asked.

    Args:
        known: remembers what wins.
        rows: under attack.
        change: winning, inside the box.
        share: of the length, at which a row is content.

    Cost: `log2(1 / share)` forwards per row, and one more.
    """
    high = rows.threat.length(change)
    best, low, wish = change, torch.zeros_like(high), share * high
    if not known.shrink:
        low = torch.full_like(high, known.threat.radius).minimum(high)
        won = asked(known, rows, shortened(rows, change, low), low < high)
        high = torch.where(won, low, high)
    while True:
        middle = (low + high) / 2
        # Between neighbouring numbers there is no middle: a finer wish would never be granted.
        which = (high - low > wish) & (low < middle) & (middle < high) & ~decided(known, rows)
        if not bool(which.any()):
            return best
        point = shortened(rows, change, middle)
        won = asked(known, rows, point, which)
        best = pick(won, point, best)
        high, low = torch.where(won, middle, high), torch.where(which & ~won, middle, low)


def unit(direction: Tensor) -> Tensor:
    """Each row at Euclidean length 1; zero stays zero."""
    size = direction.flatten(1).norm(dim=1)
    return direction / fit(size.clamp(min=torch.finfo(direction.dtype).tiny), direction)
