"""Limit order books whose imbalance hints at where the price drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, NonNegative, Positive, Share

CLASSES = ("down", "stationary", "up")
MEMORY = 0.9  # of the drift, per event
START, TICK = 100.0, 0.01
REACH = 60  # ticks that the unit interval spans to either side of the last price
Regime = Literal["calm", "turbulent"]


def trend_labels(mid: Tensor, horizon: int, theta: float) -> Tensor:
    """Where the mean price of the next events lies against that of the past ones.

    The label at t looks at prices up to `t + horizon` and no further; where there is not enough
    past or future it is -100.

    Args:
        mid: `(..., T)` prices.
        horizon: k, events in either mean.
        theta: relative change from which on it is up (2) or down (0), else stationary (1).

    Raises:
        ConfigError: for a horizon below 1 or a negative theta.
    """
    if horizon < 1 or theta < 0:
        raise ConfigError(
            f"trend_labels: needs horizon >= 1 and theta >= 0, got {horizon}, {theta}",
            fix="Use horizon=10 and theta=0.002.",
        )
    out = torch.full(mid.shape, UNLABELLED)
    steps = mid.shape[-1]
    if steps < 2 * horizon:
        return out
    means = mid.double().unfold(-1, horizon, 1).mean(-1)  # at i: of i .. i + k - 1
    before, after = means[..., : steps - 2 * horizon + 1], means[..., horizon:]
    change = (after - before) / before
    label = 1 + (change > theta).long() - (change < -theta).long()
    out[..., horizon - 1 : steps - horizon] = label
    return out


def rolling_zscore(x: Tensor, window: int) -> Tensor:
    """Each state against mean and spread of the states before it; 0 where there are too few.

    Args:
        x: `(T, F)`.
        window: states before that count.
    """
    out = torch.zeros_like(x, dtype=torch.float64)
    if len(x) > window:
        past = x[:-1].double().unfold(0, window, 1)  # at i: states i .. i + window - 1
        spread = past.std(-1, correction=0).clamp(min=1e-12)
        out[window:] = (x[window:] - past.mean(-1)) / spread
    return out


def simulated(
    dice: Dice, steps: int, levels: int, signal: float, volatility: float
) -> tuple[Tensor, Tensor]:
    """Order books `(B, T, 4 L)` and their mid prices `(B, T)`, one path per row.

    The price walks at random with a drift that decays slowly; the volumes of both sides lean to
    where it drifts. Features are ask prices, ask volumes, bid prices, bid volumes.

    Args:
        dice: of the rows.
        steps: T, events.
        levels: L, prices on either side.
        signal: correlation of the imbalance of volumes with the drift.
        volatility: of the price, in ticks per event.
    """
    raw = dice.normal((steps, 2), dtype=torch.float64)
    ages = torch.arange(steps)[:, None] - torch.arange(steps)
    kernel = torch.where(ages >= 0, MEMORY ** ages.clamp(min=0).double(), 0.0)
    fresh = raw[..., 0] * (1 - MEMORY**2) ** 0.5
    fresh[:, 0] = raw[:, 0, 0]  # in equilibrium from the start
    drift = fresh @ kernel.T  # spread 1
    mid = START + TICK * volatility * (0.5 * drift + raw[..., 1]).cumsum(1)
    lean = signal * drift + (1 - signal**2) ** 0.5 * dice.normal((steps,), dtype=torch.float64)
    spread = TICK * (1 + dice.integers(3, (steps,)))
    depth = TICK * torch.arange(levels)
    size = dice.normal((steps, 2 * levels), dtype=torch.float64)
    ask = mid[..., None] + spread[..., None] / 2 + depth
    bid = mid[..., None] - spread[..., None] / 2 - depth
    volumes = 0.5 * size + torch.stack([-lean, lean], -1).repeat_interleave(levels, -1)
    books = torch.cat([ask, volumes[..., :levels].exp(), bid, volumes[..., levels:].exp()], -1)
    return books, mid


@dataclass(frozen=True, eq=False)
class OrderBook:
    """The truth about windows of order books.

    Args:
        x: `(n, h * 4 L)` the rows.
        mid: `(n, h + k)` prices, those after the window included.
        horizon: k.
        theta: of the labels.
    """

    x: Tensor
    mid: Tensor
    horizon: int
    theta: float

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: what the price did after the window that each row is nearest to.

        Only who has seen the future can know it: no function of the window does.
        """
        which = torch.cdist(x.double(), self.x.double()).argmin(1)
        labels = trend_labels(self.mid, self.horizon, self.theta)
        return labels[which, -1 - self.horizon]


def windows(books: Tensor) -> Tensor:
    """Books `(B, h, 4 L)` as rows of [0, 1]: prices about the last mid, volumes by their logs."""
    levels = books.shape[-1] // 4
    ask, more, bid, less = books.split(levels, -1)
    last = (ask[:, -1:, :1] + bid[:, -1:, :1]) / 2
    prices = [0.5 + (p - last) / (2 * REACH * TICK) for p in (ask, bid)]
    volumes = [torch.special.ndtr(v.log()) for v in (more, less)]
    each = torch.cat([prices[0], volumes[0], prices[1], volumes[1]], -1)
    return each.clamp(0, 1).flatten(1).float()


@register("source", cites="lobcast", says="Windows of order books, and what the price did next.")
def order_book(
    n: int,
    dice: Dice,
    *,
    regime: Regime = "calm",
    history: Count = 20,
    levels: Count = 5,
    horizon: Count = 10,
    theta: NonNegative = 0.0002,
    signal: Share = 0.8,
    volatility: Positive = 1.0,
) -> Batches:
    """Windows of simulated order books; the class is the trend of the price after them.

    Every row is a path of its own, so none leaks into another. In the turbulent regime the
    price moves twice as far and volumes say a quarter of what they said: a model that learned in
    calm times meets it unprepared.

    Args:
        n: windows.
        dice: `n` of them.
        regime: calm, or turbulent.
        history: events in a window, at least the horizon.
        levels: prices on either side.
        horizon: events ahead that the label averages over.
        theta: relative change that makes a trend.
        signal: correlation of imbalance and drift in calm times.
        volatility: of the price in calm times, in ticks per event.

    Raises:
        ConfigError: for a history shorter than the horizon.
    """
    if history < horizon:
        raise ConfigError(
            f"order-book: history {history} is shorter than the horizon {horizon}",
            fix="Use a longer history, or a shorter horizon.",
        )
    wild = regime == "turbulent"
    books, mid = simulated(
        dice, history + horizon, levels, signal * (0.25 if wild else 1), volatility * (1 + wild)
    )
    x = windows(books[:, :history])
    y = trend_labels(mid, horizon, theta)[:, history - 1]
    return Batches(x=x, y=y, classes=CLASSES, truth=OrderBook(x, mid, horizon, theta))
