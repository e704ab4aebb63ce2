"""Pairing of logits: a defence that hides slopes, kept for study."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, Part, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, goal_of, sought
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf

Pairs = Literal["adversarial", "clean", "squeeze"]


@register("objective", cites="alp-broken-defences", name="logit-pairing",
          says="Known to mask slopes, refused unless asked for study: pairs logits.",
          caution="it hides slopes from attacks and does not protect")  # fmt: skip
@settings
class LogitPairing(Objective):
    """Logit pairing, **a defence that is known to be broken**: it hides slopes from attacks.

    The logits of a row and of its partner are pulled together: `adversarial`, the attacked row;
    `clean`, any other row of the batch; `squeeze`, zero. Attacks of a few steps find much less
    than after plain adversarial training; attacks of many steps, from many starts, on the margin
    or without gradients find most of it again, since the loss got flat and bumpy and no
    robustness was gained. It is here to try measures and checks on, never to protect a model, and
    therefore refuses to run unless `study` is set. Judge what comes out by `check:worst-case` and
    `measure:masking-gap`, not by the attack it was trained with. Without a weight this is training
    on clean and attacked rows.

    Cost per batch: the attack, if rows are attacked, and one or two forward passes.

    Unlike the paper: rows are paired with the next one of the batch, whose order is drawn.

    Raises (when called):
        Unsupported: unless asked for study.

    Args:
        study: says that the result is for study, not for protection.
        attack: how the worst change is sought.
        threat: which changes are admissible.
        loss: between outputs and labels.
        weight: of the squared distance of the logits.
        pairs: what is paired.
        clean: share of the loss on rows without change; with `clean` pairs and `squeeze` 1 trains
            without any attack, as the paper does.
        mode: mode of the model during the attack.
    """

    study: bool = False
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 0.5
    pairs: Pairs = "adversarial"
    clean: Share = 0.5
    mode: Mode = "eval"

    @classmethod
    def example(cls, world: Any) -> LogitPairing:
        """One that may be studied, for the laws."""
        return cls(study=True)

    @property
    def coupled(self) -> bool:
        """Whether a row's loss depends on the batch."""
        return self.pairs == "clean"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        if not self.study:
            raise Unsupported(
                "objective:logit-pairing does not protect: it hides slopes from attacks",
                fix="Use objective:trades; or set study=True to study a broken defence.",
            )
        x, threat = tensor_of(batch), resolve(self.threat)
        z = logits(run.model(x))
        total, other = self.clean * self._lost(z, batch), z.roll(1, 0)
        if self.clean < 1 or self.pairs == "adversarial":
            goal = LargestLoss(goal_of(batch.y))
            change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
            moved = logits(threat.through(run.model, x, change))
            total = total + (1 - self.clean) * self._lost(moved, batch)
            other = moved if self.pairs == "adversarial" else other
        other = z * 0 if self.pairs == "squeeze" else other
        apart = (z - other).square().flatten(1).sum(1)
        return total + self.weight * apart

    def _lost(self, z: Tensor, batch: Batch) -> Tensor:
        return per_row(resolve(self.loss)(z, batch.y), batch.y)
