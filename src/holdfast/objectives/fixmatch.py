"""Learning from few labels: the answer that is sure on a row is taught on its changed copy."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import NonNegative, Part, Share, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_label_each
from holdfast.core.kinds import Loss, Objective, Run, Shift
from holdfast.objectives.adversarial import tensor_of


@register(
    "objective", cites="fixmatch", name="fixmatch",
    says="Labels where they are; elsewhere the model's own sure answers, on changed rows.",
)  # fmt: skip
@settings
class FixMatch(Objective):
    """FixMatch: rows without a label learn, strongly changed, what the model surely says of them.

    Rows with a label count their loss as usual. For a row without one (-100) the model is asked
    about the row, hardly changed; where its largest probability reaches `sure`, that class is the
    label of the same row after a strong change, else the row counts 0. The asking gets no
    gradient. With all labels this is supervised training; with `sure` 1 rows without a label teach
    next to nothing. A model so trained serves as the teacher of semi-supervised adversarial
    training (`objective:awr`), or labels rows for it (`hooks.pool.pseudo_labelled`).

    Unlike the paper all rows of a batch count alike: a share s of labelled rows and a weight of
    s / (1 - s) give both kinds the same say. The mean of the weights is `hook:ema`.

    Cost per batch: two forward passes, the second one of the sure rows without a label.

    Args:
        shift: what changes rows; a class must survive it.
        weak: severity for the rows that are asked about, and for those with a label.
        strong: severity for the rows that learn.
        sure: least probability that counts as an answer.
        weight: of rows without a label.
        loss: between outputs and labels.

    Raises:
        Unsupported: unless there is one label, or -100, per row.
    """

    shift: Part[Shift] = "shift:randaugment"
    weak: Share = 0.0
    strong: Share = 1.0
    sure: Share = 0.95
    weight: NonNegative = 1.0
    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        one_label_each(batch.y, "FixMatch")
        asked, loss = self._changed(run, batch, self.weak, "weak"), resolve(self.loss)
        z = logits(run.model(tensor_of(asked)))
        losses: Tensor = loss(z, batch.y)
        chance, answer = z.detach().softmax(-1).max(-1)
        rows = ((batch.y == UNLABELLED) & (chance >= self.sure)).nonzero().flatten()
        if not len(rows) or not self.weight:
            return losses
        free = self._changed(run, batch, self.strong, "strong", rows)
        taught = loss(logits(run.model(tensor_of(free))), answer[rows])
        return losses.index_add(0, rows, self.weight * taught)

    def _changed(
        self, run: Run, batch: Batch, severity: float, name: str, rows: Tensor | None = None
    ) -> Batch:
        """Some rows after the shift; each with draws of its own."""
        part = batch if rows is None else batch.take(rows)
        if not severity:
            return part
        dice = run.dice.spawn(name)
        with torch.no_grad():
            return resolve(self.shift)(part, severity, dice if rows is None else dice.part(rows))
