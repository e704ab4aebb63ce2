"""Robust conformal prediction: sets that keep their promise when inputs are moved on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Inner, NonNegative, Positive, settings
from holdfast.core.kinds import Detector, Model
from holdfast.core.row_keys import row_keys
from holdfast.detect.averaged import Averaged, own_means
from holdfast.detect.conformal import SLOPE
from holdfast.ops.batch import Inputs
from holdfast.ops.conformal import conformal_threshold


@register(
    "detector",
    cites="rscp-plus",
    says="Sets of classes that hold the true one although the input was moved within an L2 ball.",
)
@settings
class RobustConformal(Detector):
    """Conformal sets from strangeness that is averaged over Gaussian noise (RSCP+).

    The mean strangeness S of a class under noise of deviation sigma, in [0, 1], moves slowly: its
    normal quantile changes by at most `radius / sigma` when the input moves by `radius`. So a
    class is kept while that quantile, lowered by `radius / sigma`, does not exceed the quantile
    of the conformal threshold. Promised is: for x exchangeable with the trusted rows and any x'
    within the radius, chosen without knowing the draws, the set of x' holds the true class with
    probability at least `1 - alpha`. Four steps, of which the second and fourth may fail with
    probability `beta` each, so that the threshold is taken at `alpha - 2 beta`:

    1. Trusted rows have means over `samples` draws of their own. So would x have (these draws
       are never made): with them the means are exchangeable, and that of x does not exceed the
       threshold with probability at least `1 - alpha + 2 beta`.
    2. S of x exceeds that mean by at most Hoeffding's bound: the threshold is raised by it.
    3. S of x' is tied to S of x by `radius / sigma`, whatever x' is.
    4. The mean of x' exceeds S of x' by at most `bound`: it is lowered by it.

    So draws of new rows need not be made like those of trusted rows; they must be independent of
    x' and of all else. Trusted rows draw by their position; new rows by their contents and the
    seed, which makes the set a fixed function of the input, whatever else is in the batch.

    With `transform="ranks"` strangeness is first put through a fixed rising map (PTT): its rank
    among held rows, then a steep sigmoid around `1 - alpha`. Scores are then flat except near
    the threshold, where few classes lie, so that the shift of the proof adds few of them. The
    held rows are a part of the trusted ones and do not calibrate.

    As a score of trust the result is the size of the set, the empty set counting as all classes,
    and a fraction that orders sets of equal size.

    Cost: `samples` forward passes per row (`samples` per trusted row to fit, one per held row).

    Unlike the paper: the threshold is an order statistic, never interpolated; `aps` is not
    randomized, since draws would have to be shared by x and x'; radius and sigma default to
    inputs in [0, 1] of few pixels.

    Args:
        strangeness: `lac` or `aps`, of the probabilities under noise.
        alpha: admissible share of sets that miss the true class.
        radius: Euclidean length of the change that is tolerated; 0 for averaged sets.
        sigma: standard deviation of the noise; the paper takes twice the radius.
        samples: noisy copies of each row.
        beta: probability that a bound of a mean fails; below `alpha / 2`.
        transform: `ranks`, or `none`.
        steepness: of the sigmoid, per unit of rank.
        held: share of the trusted rows that makes the map.
        bound: of the mean of a new row: `bernstein` is tighter where the draws agree.
        seed: of the noise; must not be known to an adversary who chooses x' by the draws.
    """

    strangeness: Literal["lac", "aps"] = "lac"
    alpha: Inner = 0.1
    radius: NonNegative = 0.05
    sigma: Positive = 0.1
    samples: Count = 256
    beta: Inner = 0.001
    transform: Literal["ranks", "none"] = "ranks"
    steepness: Positive = 400.0
    held: Inner = 0.5
    bound: Literal["bernstein", "hoeffding"] = "bernstein"
    seed: int = 0

    def fit(self, model: Model, trusted: Batches) -> RobustSets:
        """The map from held rows and the threshold from the other trusted rows.

        Raises:
            ConfigError: unless `2 beta < alpha` and there are at least two samples.
            Unsupported: if inputs are not one floating-point tensor, or outputs not `(B, K)`.
        """
        if 2 * self.beta >= self.alpha or self.samples < 2:
            raise ConfigError(
                f"RobustConformal: needs 2 beta < alpha and samples > 1, got beta {self.beta:g}, "
                f"alpha {self.alpha:g} and {self.samples} samples",
                fix="Use alpha=0.1, beta=0.001, samples=256.",
            )
        dice = Dice(self.seed, trusted.index, "robust-conformal")
        order = torch.randperm(len(trusted), generator=dice.generator("held"))
        count = round(self.held * len(trusted)) if self.transform == "ranks" else 0
        ranks: Tensor | None = None
        if count:
            one = Averaged(model, self, None, 1)
            ranks = own_means(one, trusted.take(order[:count]), dice.spawn("held")).sort().values
        many = Averaged(model, self, ranks, self.samples)
        scores = own_means(many, trusted.take(order[count:]), dice.spawn("trusted"))
        return RobustSets(many, conformal_threshold(scores, self.alpha - 2 * self.beta))

    def slack(self, variance: Tensor | None = None) -> Tensor:
        """How far a mean of draws in [0, 1] may lie above its expectation, but for beta.

        Args:
            variance: `(...)` unbiased, of the draws, for Bernstein's bound; None for Hoeffding's.
        """
        n = self.samples
        if variance is None:
            return torch.tensor((log(1 / self.beta) / (2 * n)) ** 0.5, dtype=torch.float64)
        term = log(2 / self.beta)
        return (2 * variance * term / n).sqrt() + 7 * term / (3 * (n - 1))


@dataclass(frozen=True, eq=False)
class RobustSets:
    """Calibrated robust sets.

    Args:
        averaged: mean strangeness of each class.
        limit: the conformal threshold of trusted rows, infinite with too few of them.
    """

    averaged: Averaged
    limit: float

    def sets(self, x: Inputs, *, dice: Dice | None = None) -> Tensor:
        """`(B, K)` bool: the classes in the set of each row; all where outputs are not finite.

        Args:
            x: inputs, changed within the radius or not.
            dice: fresh noise for each row; without them it is drawn from the row's contents.
        """
        with torch.no_grad():
            return self._kept(*self.averaged(x, self._dice(x, dice))[:2])

    def _kept(self, mean: Tensor, variance: Tensor) -> Tensor:
        rule = self.averaged.rule
        slack = rule.slack(variance if rule.bound == "bernstein" else None)
        top = min(self.limit + float(rule.slack()), 1.0)
        # From here nothing but quantiles: -inf at 0 and inf at 1, so that a limit of 1 keeps all.
        known = torch.special.ndtri((mean - slack.to(mean.device)).clamp(0, 1))
        level = torch.special.ndtri(torch.tensor(top, dtype=torch.float64)).to(mean.device)
        kept: Tensor = (
            (known - rule.radius / rule.sigma <= level) | mean.isnan() | (level == torch.inf)
        )
        return kept

    def _dice(self, x: Inputs, dice: Dice | None) -> Dice:
        own = Dice(self.averaged.rule.seed, row_keys(x), "robust-conformal/new")
        return own if dice is None else dice

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        """`(B,)`: the mean mapped strangeness of given classes, or the size of the set.

        A fraction below one is added to sizes, as by `Sets`, from the plain mean strangeness.
        """
        mean, variance, plain = self.averaged(x, self._dice(x, None))
        broken = mean.isnan().any(1)
        if y is not None:
            own = mean.gather(1, y.to(mean.device).clamp(min=0)[:, None]).squeeze(1)
            return torch.where(own.isnan(), torch.inf, own)
        size = self._kept(mean.detach(), variance.detach()).sum(1).to(mean)
        size = torch.where(size == 0, mean.shape[1], size)
        order = torch.sigmoid((self.averaged.knee(self.limit) - plain) / SLOPE).mean(1)
        return torch.where(broken, torch.inf, size + order)
