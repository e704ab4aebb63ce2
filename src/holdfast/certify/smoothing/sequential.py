"""A test of a share that may be looked at after every draw and stopped at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

PRIOR = 0.5  # of both ends: weight on shares near 1, which is where most inputs lie
ROUNDING = 1e-6  # allowance for rounding in the logarithm of the evidence
DOUBT = 3.0  # deviations by which success must lie out of reach before a row is given up
FIRST, GROWTH = 16, 8  # draws before the first look; later looks come every eighth of the draws


def log_evidence(wins: Tensor, draws: Tensor, odds: float) -> Tensor:
    """Logarithm of the evidence against a share of at most `ndtr(odds)`.

    The evidence is the likelihood of the draws, averaged over shares q above the limit p with
    Jeffreys' weights, divided by their likelihood at p. For each q the quotient gains no value on
    average while the true share is at most p (a win multiplies it by q/p > 1, a loss by less than
    1, and at p both balance), so the average is a supermartingale that starts at 1. By Ville's
    inequality it ever reaches 1/alpha with probability at most alpha, whenever one looks.

    Args:
        wins: counts of wins, of any shape.
        draws: counts of draws, same shape.
        odds: the limit as a quantile: p = ndtr(odds); one minus it is then exact near 1 too.

    Returns:
        float64 of the same shape; -inf for a limit of 1, which nothing refutes.
    """
    from scipy.special import betainc, betaln, log_ndtr, ndtr

    rest = float(ndtr(-odds))
    if rest == 0:
        return torch.full(wins.shape, -torch.inf, dtype=torch.float64)
    a, b = wins.double().cpu().numpy() + PRIOR, (draws - wins).double().cpu().numpy() + PRIOR
    above = torch.as_tensor(betainc(b, a, rest)).log()  # weight of shares beyond p after the draws
    whole = float(betaln(PRIOR, PRIOR)) + log(betainc(PRIOR, PRIOR, rest))
    at = (a - PRIOR) * float(log_ndtr(odds)) + (b - PRIOR) * float(log_ndtr(-odds))
    return torch.as_tensor(betaln(a, b) - at) + above - whole


def needed(draws: int, odds: float, alpha: float) -> int:
    """Fewest wins among `draws` that refute the limit; `draws + 1` where even all do not.

    Evidence grows with every loss that turns into a win, so halving the range finds the fewest.
    """
    low, high = 0, draws + 1
    while low < high:
        middle = (low + high) // 2
        one = torch.tensor([middle]), torch.tensor([draws])
        enough = float(log_evidence(*one, odds)) >= -log(alpha) + ROUNDING
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Tested:
    """What came of a test, row by row.

    Args:
        passed: `(B,)` bool: the share exceeds the limit, at the level asked for.
        wins: `(B,)` wins seen.
        draws: `(B,)` draws used.
    """

    passed: Tensor
    wins: Tensor
    draws: Tensor


def share_test(
    draw: Callable[[Tensor, int], Tensor], rows: int, odds: float, *, alpha: float, most: int
) -> Tested:
    """For each row, draw until its share is known to exceed a limit, or will not be known to.

    A row passes once its evidence reaches 1/alpha: that is wrong with probability at most alpha
    for each row, whatever the rule of stopping. A row is given up where success within `most`
    draws lies more than three deviations beyond what its wins so far predict; that costs power,
    never validity.

    Args:
        draw: (positions of rows, how many) -> wins of each of these rows among as many fresh
            draws; a draw must not depend on what was drawn before.
        rows: how many.
        odds: the limit is the share `ndtr(odds)`.
        alpha: probability, per row, of passing although the share does not exceed the limit.
        most: draws per row at most.
    """
    wins, draws = (torch.zeros(rows, dtype=torch.int64) for _ in range(2))
    passed = torch.zeros(rows, dtype=torch.bool)
    least, goal = needed(most, odds, alpha), -log(alpha) + ROUNDING
    open_rows = torch.arange(rows) if least <= most else torch.arange(0)
    done = 0
    while len(open_rows) and done < most:
        step = min(max(FIRST, done // GROWTH), most - done)
        wins[open_rows] += draw(open_rows, step).cpu()
        done += step
        draws[open_rows] = done
        k = wins[open_rows]
        passed[open_rows] = log_evidence(k, draws[open_rows], odds) >= goal
        go_on = ~passed[open_rows] & ~hopeless(k, done, least, most)
        open_rows = open_rows[go_on]
    return Tested(passed, wins, draws)


def hopeless(wins: Tensor, draws: int, least: int, most: int) -> Tensor:
    """Rows whose wins after `most` draws will hardly reach `least`.

    Args:
        wins: `(B,)` so far.
        draws: so far.
        least: wins that are needed after `most` draws.
        most: draws that are allowed.
    """
    left = most - draws
    share = (wins.double() + PRIOR) / (draws + 2 * PRIOR)
    spread = (share * (1 - share) * left * (1 + left / draws)).sqrt()
    return (least - wins > left) | (least - wins - left * share > DOUBT * spread)
