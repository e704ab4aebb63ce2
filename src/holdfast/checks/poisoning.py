"""What does it cost to train on data that somebody has touched?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from torch import nn

from holdfast.checks.given import anew
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Natural, Part, Share, settings
from holdfast.core.kinds import Check, Recipe, Shift
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.measures.outputs.backdoor import attack_success
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion
from holdfast.shifts.label_noise import mislabelled
from holdfast.shifts.poison import poisoned


@register("check", cites="dl-security-survey", says="Label flipping and a backdoor, by retraining.")
@settings
class Poisoning(Check):
    """Label flipping and backdoor poisoning: the architecture is trained anew on touched rows.

    The reference rows are learned from, with a share of labels flipped, or with a trigger on a
    share of rows that are relabelled; the measured rows judge. Every number stands beside that
    of the same training on clean rows. Cost: one training for each share, and one without.

    Args:
        flips: chances of a label to be flipped to any other class; the labels of a smaller one
            are flipped under a larger one too.
        poison: shares of rows that carry the trigger.
        trigger: what they carry.
        target: the class that the trigger shall mean.
        recipe: how a model is trained.
        limit: rows learned from, and rows measured on, at most.
        alpha: intervals have coverage 1 - alpha.
        tolerated: share of triggered rows from which on success is a warning.
    """

    question: ClassVar = "What does it learn from data that somebody has touched?"
    section: ClassVar = "poisoning"
    needs: ClassVar = ("model", "make", "trusted", "batches")

    flips: tuple[Share, ...] = (0.05, 0.1, 0.2)
    poison: tuple[Share, ...] = (0.01, 0.05)
    trigger: Part[Shift] = "shift:patch-trigger"
    target: Natural = 0
    recipe: Part[Recipe] = "recipe:standard"
    limit: Count = 2000
    alpha: Inner = 0.05
    tolerated: Share = 0.5

    def cost(self, subject: Subject) -> float:
        """Forecast: ten epochs of three passes for each training."""
        learned = len(subject.trusted) if subject.trusted is not None else 0
        return 30.0 * min(learned, self.limit) * (1 + len(self.flips) + len(self.poison))

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.make is None or subject.trusted is None or subject.batches is None:
            return
        learned = subject.trusted.take(slice(0, self.limit))
        judge = subject.batches.take(slice(0, self.limit))
        whole = self._taught(subject, learned)
        clean = self._right("poisoning.clean", whole, judge, subject.seed)
        yield self._flipped(subject, learned, judge, clean)
        try:
            yield self._backdoor(subject, learned, judge, whole)
        except Unsupported as reason:
            says = f"No backdoor was tried: {reason}"
            yield Finding(severity=Severity.INFO, says=says)

    def _taught(self, subject: Subject, rows: Batches) -> nn.Module:
        model = anew(subject, subject.seed, "retraining")
        resolve(self.recipe)(model, rows, dice=Dice(subject.seed, rows.index, "poisoning"))
        return model

    def _right(self, name: str, model: nn.Module, rows: Batches, seed: int) -> Reading:
        hit = int(correct(outputs(model, rows.x), rows.y).sum())
        return proportion(name, hit, len(rows), seed=seed, alpha=self.alpha)

    def _flipped(
        self, subject: Subject, learned: Batches, judge: Batches, clean: Reading
    ) -> Finding:
        """Accuracy after training on flipped labels."""
        found = [clean]
        for share in self.flips:
            dice = Dice(subject.seed, learned.index, "flips")
            rows = mislabelled(learned, "symmetric", share, dice)
            model = self._taught(subject, rows)
            found.append(self._right(f"poisoning.flips.{share:g}", model, judge, subject.seed))
        shares = (0.0, *self.flips)
        lost = clean.value - min(r.value for r in found)
        lines: tuple[dict[str, Cell], ...] = tuple(
            {"x": s, "y": r.value, "series": "accuracy", "low": r.low, "high": r.high}
            for s, r in zip(shares, found, strict=True)
        )
        says = (
            f"With up to {max(shares):.0%} of labels flipped in training it loses "
            f"{100 * lost:.1f} points of {clean.value:.1%}."
        )
        figure = Figure(
            name="label-flips", kind="lines", title="Accuracy after flipped labels", says=says,
            rows=lines, x="share of labels flipped", y="accuracy",
        )  # fmt: skip
        worry = lost > max(shares)
        return Finding(
            severity=Severity.WARNING if worry else Severity.INFO,
            says=says, readings=tuple(found), figures=(figure,),
            advice="Train with a loss that noisy labels hurt less (loss:gce)." if worry else "",
        )  # fmt: skip

    def _backdoor(
        self, subject: Subject, learned: Batches, judge: Batches, whole: nn.Module
    ) -> Finding:
        """Success of a trigger after training on relabelled rows that carry it."""
        dressed = resolve(self.trigger)(judge.whole, 1.0, Dice(subject.seed, judge.index, "judge"))
        success = partial(attack_success, target=self.target, alpha=self.alpha, seed=subject.seed)
        found = [
            success(outputs(whole, dressed.x), judge.y, name="poisoning.backdoor.0"),
        ]
        for share in self.poison:
            rows = poisoned(
                learned, target=self.target, share=share, trigger=self.trigger, among="others",
                relabel=True, dice=Dice(subject.seed, learned.index, "backdoor"),
            )  # fmt: skip
            model = self._taught(subject, rows)
            z = outputs(model, dressed.x)
            found.append(success(z, judge.y, name=f"poisoning.backdoor.{share:g}"))
            right = self._right(f"poisoning.dressed.{share:g}", model, judge, subject.seed)
            found.append(right)
        worst = max((r for r in found[1::2]), key=lambda r: r.value, default=found[0])
        worry = worst.low > self.tolerated
        return Finding(
            severity=Severity.WARNING if worry else Severity.INFO,
            says=f"Trained with up to {max(self.poison, default=0):.0%} of triggered rows it takes "
            f"{worst.value:.1%} of triggered rows for class {self.target}; untouched it is "
            f"{found[0].value:.1%}.",
            readings=tuple(found),
            advice="Take training data from sources you trust, or filter rows whose removal "
            "changes the model most."
            if worry
            else "",
        )
