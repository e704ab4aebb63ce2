"""Accuracy and stability as two terms with a weight between them."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import Departure, Mode, divergence, sought
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf


@register("objective", cites="trades", says="Clean loss plus what an attack can move.")
@settings
class Trades(Objective):
    """TRADES: the clean loss plus how far an attack can move the predicted distribution.

    The robust error is at most the clean error plus the chance that the prediction can be
    changed; the second term is a smooth stand-in for that chance, KL(p(x) || p(x')). The attack
    climbs the same divergence, sees no labels, and takes p(x) as fixed; the gradient of the
    objective flows through both x and x'. At radius 0 or weight 0 this is plain training. Clean
    and changed rows pass separately, so that batch statistics are not shared.

    Unlike the paper: the attack starts anywhere in the threat, not at 0.001 of normal noise
    (both avoid x itself, where the gradient of the divergence vanishes).

    Cost per batch: the attack, and three forward passes (one to fix p(x)).

    Args:
        attack: how the departure is sought.
        threat: which changes are admissible.
        loss: of the clean outputs against the labels.
        weight: of the departure.
        mode: mode of the model during the attack.
    """

    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 6.0
    mode: Mode = "eval"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat = tensor_of(batch), resolve(self.threat)
        change = self._departed(run, x, threat) if self.weight else None
        outputs = logits(run.model(x))
        clean = per_row(resolve(self.loss)(outputs, batch.y), batch.y)
        if change is None:
            return clean
        moved = logits(threat.through(run.model, x, change))
        return clean + self.weight * divergence(outputs.log_softmax(-1), moved.log_softmax(-1))

    def _departed(self, run: Run, x: Tensor, threat: Threat) -> Tensor:
        """The change under which the prediction moves furthest."""

        def departure() -> Departure:
            with quiet(run.model), torch.no_grad():
                if self.mode == "eval":
                    run.model.eval()
                return Departure(logits(run.model(x)).log_softmax(-1))

        return sought(run, self.attack, x, departure, threat, self.mode)
