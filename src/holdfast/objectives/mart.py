"""Adversarial training that looks at which rows are wrong already."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, divergence, goal_of, sought
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf


@register("objective", cites="mart", says="The loss under attack, and stability where wrong.")
@settings
class MART(Objective):
    """MART: the loss under attack, plus the departure from the clean prediction where it is wrong.

    The departure KL(p(x) || p(x')) of each row is weighed by `1 - p_y(x)`: a row that the model
    gets right for sure pays the first term alone, one that it misses is pulled towards the same
    answer with and without attack. Gradients flow through both predictions and the weight. At
    weight 0 with cross-entropy it is adversarial training.

    It raises robustness against ascents of the cross-entropy more than against ascents of the
    margin, so judge it by the latter.

    Cost per batch: the attack, and two forward passes.

    Args:
        attack: how the worst change is sought.
        threat: which changes are admissible.
        loss: of the attacked outputs against the labels.
        weight: of the departure.
        mode: mode of the model during the attack.
    """

    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:boosted-cross-entropy"
    weight: NonNegative = 5.0
    mode: Mode = "eval"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, y, threat = tensor_of(batch), batch.y, resolve(self.threat)
        goal = LargestLoss(goal_of(y))
        change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
        moved = logits(threat.through(run.model, x, change))
        attacked = per_row(resolve(self.loss)(moved, y), y)
        if not self.weight:
            return attacked
        logp = logits(run.model(x)).log_softmax(-1)
        wrong = per_row(1 - label_share(logp.exp(), y), y)
        return attacked + self.weight * wrong * divergence(logp, moved.log_softmax(-1))


def label_share(p: Tensor, y: Tensor) -> Tensor:
    """`(...)`: the probability given to the label, or to label shares; 1 without a label."""
    if y.is_floating_point():
        return (p * y).sum(-1)
    known = y != UNLABELLED
    own = (p * F.one_hot(y.clamp(min=0), p.shape[-1])).sum(-1)
    return own.masked_fill(~known, 1.0)
