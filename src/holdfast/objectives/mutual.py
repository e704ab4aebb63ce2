"""Several nets that are attacked and learn from each other."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, divergence, goal_of, sought
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import LInf


def born_again(model: nn.Module, seed: int) -> nn.Module:
    """A copy in training mode whose layers have drawn their weights anew.

    Raises:
        Unsupported: if no layer knows how to.
    """
    made = deepcopy(model)
    layers = [m for m in made.modules() if hasattr(m, "reset_parameters")]
    if not layers:
        raise Unsupported(
            "no layer of the model can draw its weights anew, peers would be alike",
            fix="Give a model with a layer that has reset_parameters, such as an nn.Linear.",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            drawn: Any = layer.reset_parameters
            drawn()
    return made.train().requires_grad_(True)


@register("objective", cites="mutual-adversarial-training", name="mutual",
          says="Several nets learn under attack and from each other.")  # fmt: skip
@settings
class MutualTraining(Objective):
    """Mutual adversarial training: each net learns its own attacks, and the others' ones too.

    The run's model and its peers, copies that start from other weights and are trained beside
    it as parts of the run, are attacked on the same rows. Each learns the labels of its own
    attacked rows, the labels of those of its peers, and how each peer answers its own attacked
    rows; peers are teachers without gradient. With one member this is adversarial training, and
    without weights so it is for each member on its own.

    Given specialists, there is one peer for each, trained against that threat alone, and the
    model is a generalist: it learns labels and answers on the attacks of all specialists, and
    none of its own.

    Cost per batch: an attack per member, and a forward pass per member and attack.

    Unlike the paper: weights of the terms are settings, since it does not print them.

    Args:
        attack: on each member.
        threat: which changes are admissible.
        loss: of outputs against the labels.
        members: nets, the model among them; 1 plus the specialists, if there are any.
        specialists: a threat for each peer.
        answers: weight of the divergence from a peer's answers at the peer's attacked rows.
        transfer: weight of the loss at the peers' attacked rows.
        own: weight of the divergence from the peers' answers at one's own attacked rows.
        mode: mode of a member during the attack on it.
    """

    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    members: Count = 2
    specialists: tuple[Part[Threat], ...] = ()
    answers: NonNegative = 1.0
    transfer: NonNegative = 1.0
    own: NonNegative = 0.0
    mode: Mode = "eval"

    def parts(self, model: nn.Module) -> nn.Module | None:
        """The peers."""
        count = len(self.specialists) or self.members - 1
        return nn.ModuleList(born_again(model, 1 + k) for k in range(count)) if count else None

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        peers: Any = run.parts[next(iter(run.parts))] if len(run.parts) else ()
        nets = [run.model, *peers]
        if self.specialists:
            return self._taught(run, batch, nets)
        attacked = [self._attacked(run, batch, net, self.threat, k) for k, net in enumerate(nets)]
        z = [[logits(net(x)) for x in attacked] for net in nets]  # of each net, on each attack
        total = torch.zeros((), device=attacked[0].device)
        for m in range(len(nets)):
            total = total + self._lost(z[m][m], batch)
            others = [j for j in range(len(nets)) if j != m]
            total = total + sum(self._learned(z, batch, m, j) for j in others) / max(len(others), 1)
        return total

    def _taught(self, run: Run, batch: Batch, nets: Sequence[nn.Module]) -> Tensor:
        """The losses of all specialists, and the generalist's on all of their attacks."""
        total, threats = torch.zeros((), device=batch.index.device), self.specialists
        for k, (net, threat) in enumerate(zip(nets[1:], threats, strict=True)):
            x = self._attacked(run, batch, net, threat, k)
            theirs, ours = logits(net(x)), logits(nets[0](x))
            taught = self.transfer * self._lost(ours, batch) + self.answers * _from(theirs, ours)
            total = total + self._lost(theirs, batch) + taught / len(threats)
        return total

    def _learned(self, z: list[list[Tensor]], batch: Batch, m: int, j: int) -> Tensor:
        """`(B,)`: what member m learns from member j."""
        learned = self.transfer * self._lost(z[m][j], batch)
        learned = learned + self.answers * _from(z[j][j], z[m][j])
        return learned + self.own * _from(z[j][m], z[m][m]) if self.own else learned

    def _lost(self, z: Tensor, batch: Batch) -> Tensor:
        return per_row(resolve(self.loss)(z, batch.y), batch.y)

    def _attacked(
        self, run: Run, batch: Batch, net: nn.Module, threat: Threat | str, number: int
    ) -> Tensor:
        """Rows as the attack on one net leaves them."""
        x, ball = tensor_of(batch), resolve(threat)
        goal, name = LargestLoss(goal_of(batch.y)), f"attack{number or ''}"
        change = sought(run, self.attack, x, lambda: goal, ball, self.mode, model=net, name=name)
        return ball.apply(x, change)


def _from(teacher: Tensor, student: Tensor) -> Tensor:
    """`(B,)`: divergence from a teacher's answers, which get no gradient."""
    return divergence(teacher.detach().log_softmax(-1), student.log_softmax(-1))
