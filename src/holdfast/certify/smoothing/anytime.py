"""Randomized smoothing by a sequential test: as few samples as the answer needs."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.smoothing.randomized import one_answer, safe_classes, smoothed_only
from holdfast.certify.smoothing.sequential import share_test
from holdfast.certify.smoothing.votes import Noise, blocks, heard, together, votes
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.data import UNLABELLED
from holdfast.core.dice import Dice, dice_or
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import Goal, Untargeted
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.smoothed import Smoothed

SURE = -torch.finfo(torch.float64).tiny  # a margin known to be negative, and no more than that


@register(
    "certifier",
    name="smoothing-sequential",
    cites="randomized-smoothing",
    says="Tests whether a Smoothed model holds within one L2 radius, drawing until it is known.",
)
@settings
class SequentialSmoothing(Certifier):
    """Asks one question of each row, whether its class holds within the threat's radius.

    The class holds within R if its share of the noisy copies exceeds `ndtr(R / sigma)`. Evidence
    against the opposite is gathered copy by copy and may be looked at after each (see
    `share_test`), so that a clear row needs a few dozen copies, where a fixed number of samples
    is chosen for the hardest. Each row is wrong with probability at most alpha. For untargeted
    goals the class is the label, known beforehand, and no copies are spent on choosing it.

    It answers "at least R", never how far beyond: `radius` is the threat's radius or 0, and the
    margin only says on which side of 0 it lies. For a curve of radii, or the largest one, use
    `certifier:smoothing`, or one question per radius and alpha divided by their number.

    Unlike the paper, whose number of samples is fixed beforehand.

    Args:
        selection: noisy copies that choose the class where the goal does not name it.
        samples: fresh copies per row at most; a row that needs more abstains.
        alpha: probability, per row, that the statement is wrong.

    Cost: some dozens to hundreds of forward passes for most rows; up to `samples` where the share
    is very close to its limit.
    """

    selection: Count = 100
    samples: Count = 10_000
    alpha: Inner = 0.001

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Which rows provably hold at the threat's radius.

        Args:
            model: a `Smoothed` model with sigma > 0.
            x: `(B, ...)` inputs.
            goal: untargeted or targeted.
            threat: an L2 ball.
            dice: row draws of the noise; independent of the model's own noise.

        Returns:
            The certificate; rows that abstain have margin inf and radius 0.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        about, ball = smoothed_only(model, threat, goal, "certifier:smoothing-sequential")
        rows = dice_or(dice, len(x))
        with quiet(model), torch.no_grad():
            chosen, classes = self._chosen(about, x, goal, rows.spawn("selection"))
            safe = safe_classes(goal, chosen, classes)
            held = Copies(about, x, chosen, rows.spawn("samples"))
            odds = float(ball.radius) / about.sigma
            tested = share_test(held.wins, len(x), odds, alpha=self.alpha, most=self.samples)
        proved = tested.passed.to(x.device) & safe
        margin = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        margin[proved] = SURE
        radius = float(ball.radius) * proved.double()
        return Certificate(model, threat, margin, radius, 1 - self.alpha)

    def _chosen(self, about: Smoothed, x: Tensor, goal: Goal, dice: Dice) -> tuple[Tensor, int]:
        """The class in question of each row, and how many classes there are."""
        if isinstance(goal, Untargeted) and not bool((goal.y == UNLABELLED).any()):
            found = votes(about, x[:1], 1, dice.part(slice(0, 1)))  # one pass, for their number
            return goal.y.to(x.device), one_answer(found).shape[1]
        found = one_answer(votes(about, x, self.selection, dice))
        return found.argmax(1), found.shape[1]


class Copies:
    """Fresh noisy copies of rows, counted where they vote for the class in question.

    Args:
        model: whose base votes.
        x: `(B, ...)` inputs.
        chosen: `(B,)` classes in question.
        dice: of the rows; each row's copies are a stream that only it reads.
    """

    def __init__(self, model: Smoothed, x: Tensor, chosen: Tensor, dice: Dice) -> None:
        self.model, self.x, self.chosen = model, x, chosen
        self.noise = Noise(dice, x.dtype, x.device)

    def wins(self, rows: Tensor, copies: int) -> Tensor:
        """`(b,)`: how many of the next copies of some rows vote for their class."""
        found, sizes = [], list(blocks(copies, self.x))
        for part in rows.split(max(1, together(self.x) // max(1, sizes[0] * self.x[0].numel()))):
            x, chosen = self.x[part], self.chosen[part]
            own = torch.zeros(len(part), dtype=torch.int64, device=x.device)
            for n in sizes:
                counts = heard(self.model, x, self.noise.draw(part.tolist(), n, x.shape[1:]))
                own = own + counts.gather(1, chosen[:, None])[:, 0]
            found.append(own)
        return torch.cat(found)
