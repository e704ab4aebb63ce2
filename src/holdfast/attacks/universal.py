"""One change for all inputs, found by aggregating the gradients of a look-ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import slopes
from holdfast.attacks.replay import Course, Replay
from holdfast.attacks.shared_rows import SharedRows
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count, Decay, Positive, settings
from holdfast.core.goal import Goal, Untargeted, logits
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import chunks, fit
from holdfast.threats.shared import Shared


@register("attack", cites="sga-uap", name="sga", says="One change for all rows, by look-ahead.")
@settings
class SGA(Attack):
    """Stochastic gradient aggregation: small batches look ahead, one large step is taken.

    Small batches find directions that large ones average away, but a signed step on each of
    them quantises its gradient again and again. So from the present change a copy walks along
    signed steps on small batches, drawn without replacement; their gradients are kept, the copy
    is thrown away, and the change makes one step along the mean of the gradients. Properties:
    the change never leaves the threat; rows whose loss is above the ceiling pull no more; with
    `inner=1` and small batches as large as the large ones it is plain stochastic PGD.

    Under a shared threat one change serves all rows. `fit` makes it from a data set and returns
    an attack that replays it, on rows that were not seen too; its labels are the model's own
    answers, so true labels play no part. Under any other threat each row is a data set of its
    own: it looks ahead along its own gradients, and leaves as soon as it is broken.

    Args:
        epochs: passes over the rows.
        batch: rows per step that is kept.
        minibatch: rows per step of the look-ahead.
        inner: passes over the large batch during a look-ahead.
        stride: length of every step, in radii.
        momentum: share of earlier directions that is kept; each is scaled to a sum of 1 first.
        ceiling: loss of a row in nats above which it counts as lost for good (shared only).
        climb: the goal's `soft` loss, or minus the logit that holds the row, its `own`.

    Cost: `epochs * inner` forwards and backwards per row.

    Raises:
        Unsupported: for `climb="own"`, unless the goal is a contest between classes.

    Unlike the paper: any goal and threat serve, through the goal's smooth loss and the threat's
    own steepest direction; where the box cuts a row's input off, its gradient passes all the same.
    """

    access: ClassVar[Access] = Access.GRADIENT
    epochs: Count = 20
    batch: Count = 250
    minibatch: Count = 10
    inner: Count = 4
    stride: Positive = 0.1
    momentum: Decay = 0.0
    ceiling: Positive = 9.0
    climb: Literal["soft", "own"] = "soft"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        if not getattr(threat, "coupled", False):
            return self._single(Active(model, x, goal, threat, dice))
        rows = SharedRows(model, x, goal, threat, self.ceiling, self.climb)
        change = self._shared(rows, dice_or(dice, len(x))).change
        return threat.project(x, change.expand(len(x), *change.shape[1:]))

    def fit(
        self,
        model: Model,
        batches: Batches,
        goal: Goal | None = None,
        threat: Threat | None = None,
        *,
        dice: Dice | None = None,
    ) -> Replay:
        """The change that serves all rows of a data set, as an attack that replays it.

        Args:
            model: under attack.
            batches: rows to learn from; true labels are not looked at.
            goal: what the adversary wants of each row; any answer but the model's own unless
                given.
            threat: what the change may be; shared by all rows whether it says so or not.
            dice: draws of the order of rows.

        Raises:
            ShapeError: for inputs that are no tensor, or no rows.
        """
        x = batches.x
        if not isinstance(x, Tensor) or not len(x):
            raise ShapeError(
                "SGA.fit: needs at least one row of one tensor",
                fix="Pass Batches whose x is one tensor with a row or more.",
            )
        shared = threat if threat is not None else Shared()
        shared = shared if getattr(shared, "coupled", False) else Shared(threat=shared)
        with quiet(model):
            aim = goal if goal is not None else own_answers(model, batches)
            rows = SharedRows(model, x, aim, shared, self.ceiling, self.climb)
            return self._shared(rows, dice_or(dice, len(x)))

    def _shared(self, rows: SharedRows, dice: Dice) -> Replay:
        change = rows.threat.none(rows.x[:1]).detach()
        memory, courses = torch.zeros_like(change), []
        for epoch in range(self.epochs if len(rows.x) else 0):
            order = torch.randperm(len(rows.x), generator=dice.generator(f"epoch{epoch}"))
            for number, part in enumerate(chunks(len(order), self.batch)):
                seen = dice.generator(f"epoch{epoch}/ahead{number}")
                found = torch.stack(list(self._ahead(rows.take(order[part]), change, seen)))
                total = found.mean(0)
                courses.append(Course.of(found, total))
                memory = self._remembered(memory, total)
                change = self._step(rows.threat, rows.x[:1], change, memory)
        return Replay(change, Course.joined(courses))

    def _ahead(self, rows: SharedRows, change: Tensor, seen: torch.Generator) -> Iterator[Tensor]:
        """Gradients of the small batches along a walk that is not kept."""
        for _ in range(self.inner):
            order = torch.randperm(len(rows.x), generator=seen)
            for part in chunks(len(order), self.minibatch):
                gradient = rows.take(order[part]).gradient(change)
                yield gradient
                change = self._step(rows.threat, rows.x[:1], change, gradient)

    def _remembered(self, memory: Tensor, gradient: Tensor) -> Tensor:
        """The direction with what is kept of earlier ones."""
        if not self.momentum:
            return gradient
        size = gradient.flatten(1).abs().sum(1).clamp(min=1e-30)
        return self.momentum * memory + gradient / fit(size, gradient)

    def _step(self, threat: Threat, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        move = threat.steepest(x, change, gradient)
        return threat.project(x, change.add(move, alpha=self.stride)).detach()

    def _single(self, active: Active) -> Tensor:
        """Each row a data set of its own."""
        change = active.threat.none(active.x).detach()
        memory = torch.zeros_like(change)
        for _ in range(self.epochs):
            ahead, total = change, torch.zeros_like(change)
            for _ in range(self.inner):
                if not len(active):
                    return active.best
                margin, gradient, _ = slopes(
                    active.model, active.x, active.goal, active.threat, ahead, climb=self.climb
                )
                stay = active.see(ahead, margin)
                if stay is not None:
                    change, memory, ahead = change[stay], memory[stay], ahead[stay]
                    total, gradient = total[stay], gradient[stay]
                total = total + gradient
                ahead = self._step(active.threat, active.x, ahead, gradient)
            memory = self._remembered(memory, total)
            change = self._step(active.threat, active.x, change, memory)
        if len(active):
            active.see(change, active.margins(change))
        return active.best


def own_answers(model: Model, batches: Batches) -> Untargeted:
    """The goal that any answer but the model's own is given. Cost: one forward per row."""
    with torch.no_grad():
        found = [logits(model(batch.x)).argmax(1) for batch in batches]
    return Untargeted(torch.cat(found))


SPGD = register(
    "attack", cites="sga-uap", name="spgd", says="One change for all rows, by signed batch steps."
)(SGA(batch=250, minibatch=250, inner=1))
CLOAK = register(
    "attack", cites="ga-privacy-cloak", name="cloak",
    says="One change that hides all images of a person, by look-ahead on few images.",
)(SGA(epochs=16, batch=20, minibatch=4))  # fmt: skip
