"""Hardening on few real rows and many made ones."""

from __future__ import annotations

from torch import nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Ingredient, Part, Share, ingredient, settings
from holdfast.core.kinds import Objective
from holdfast.hooks.ema import EMA
from holdfast.hooks.generated import ClassGaussian, Generated, Generator
from holdfast.objectives.trades import Trades
from holdfast.recipes.standard import Standard
from holdfast.run.loop import Control
from holdfast.run.training import TrainingRun


@register("recipe", cites="generated-data-at", name="generated-at",
          says="Hardens on batches of which most rows are generated.")  # fmt: skip
@settings
class GeneratedData(Standard):
    """Adversarial training with generated data: an exact share of each batch is made.

    Robust accuracy needs far more rows than accuracy: on few of them attacks on the training
    rows are learned by heart. Rows that a generator makes, or a pool of unlabelled ones with the
    answers of a plain classifier (`hooks.pool`), fill `amount` of every batch, whatever their
    number; the others are real. The mean of the weights along the run is what is kept. With
    amount and decay 0 this is training on real rows with the same objective.

    An epoch is one over the real rows, so that steps are those of training without; compare
    generated rows with held-out ones first (`measure:generated-rows`), since copies of those
    would spoil the test.

    Unlike the paper: without a generator one normal distribution per class, fitted to the rows
    that are trained on, stands for a diffusion model.

    Args:
        objective: one loss per row.
        backward: how gradients are made from it.
        optimizer: made for the parameters that need gradients.
        hooks: called before those of this recipe.
        epochs: passes over the real rows.
        schedule: form of the learning rate over the run.
        warmup: share of the run in which the rate grows.
        accumulate: batches per step.
        precision: bits of matrix products.
        turns: further players.
        channels_last: order of memory of images meanwhile.
        compile: backend that compiles the model, if any.
        generator: (labels, dice) -> inputs.
        amount: share of each batch that is made.
        rank: directions per class of the normal distribution.
        decay: of the mean of the weights.
    """

    objective: Part[Objective] = Trades(weight=5.0)
    generator: Ingredient[Generator] = ingredient()
    amount: Share = 0.7
    rank: Count = 20
    decay: Decay = 0.995

    def __call__(
        self,
        model: nn.Module,
        batches: Batches,
        *,
        dice: Dice | None = None,
        control: Control | None = None,
    ) -> TrainingRun:
        """Train in place; see `Standard`.

        Raises:
            Unsupported: without a generator, if none can be fitted to the rows.
        """
        made = self.generator
        if made is None and self.amount:
            made = ClassGaussian.fit(batches, rank=self.rank)
        added = (Generated(generator=made, amount=self.amount),) if self.amount else ()
        if self.decay:
            added = (*added, EMA(decay=self.decay))
        plan = Standard(
            objective=self.objective, backward=self.backward, optimizer=self.optimizer,
            hooks=(*self.hooks, *added), epochs=self.epochs, schedule=self.schedule,
            warmup=self.warmup, accumulate=self.accumulate, precision=self.precision,
            turns=self.turns, channels_last=self.channels_last, compile=self.compile,
        )  # fmt: skip
        return plan(model, batches, dice=dice, control=control)
