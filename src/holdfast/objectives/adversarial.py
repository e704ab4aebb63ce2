"""Adversarial training."""

from __future__ import annotations

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.objectives.adversary import LargestLoss, Mode, goal_of, sought
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf


def tensor_of(batch: Batch) -> Tensor:
    """The inputs, which an attack needs as one tensor.

    Raises:
        Unsupported: for texts and mappings.
    """
    if not isinstance(batch.x, Tensor):
        raise Unsupported(
            f"adversarial training needs inputs as one tensor, got {type(batch.x).__name__}",
            fix="Attack the embeddings instead.",
        )
    return batch.x


@register("objective", cites="pgd-at", name="pgd-at", says="The loss under attack.")
@settings
class AdversarialTraining(Objective):
    """Adversarial training: the loss at the worst change that an attack finds.

    By Danskin's theorem the gradient at the worst change is the gradient of the worst loss, so
    descending it descends the robust loss. The attack never stops at the first mistake, leaves
    no gradient in the weights, and by default sees the model in evaluation mode; the loss is
    taken in training mode. At radius 0 this is plain training.

    Cost per batch: the attack, and one forward pass (two with a clean share); where an optimizer
    looks twice, as AWP does, the second look takes the change of the first.

    Args:
        attack: how the worst change is sought.
        threat: which changes are admissible.
        loss: between outputs and labels.
        clean: share of the loss that is taken without any change.
        mode: mode of the model during the attack. In `train` its running statistics are put
            back afterwards; batch normalisation then couples the rows, so the attack climbs
            the sum of their logsumexps, not the sum of their losses.
    """

    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    clean: Share = 0.0
    mode: Mode = "eval"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = tensor_of(batch), resolve(self.threat), resolve(self.loss)
        goal = LargestLoss(goal_of(batch.y))
        change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
        attacked = per_row(loss(logits(threat.through(run.model, x, change)), batch.y), batch.y)
        if not self.clean:
            return attacked
        plain = per_row(loss(logits(run.model(x)), batch.y), batch.y)
        return self.clean * plain + (1 - self.clean) * attacked
