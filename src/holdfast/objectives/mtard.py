"""Learning from an accurate and a robust teacher at once."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.fields import (
    Ingredient,
    NonNegative,
    Part,
    Positive,
    Share,
    ingredient,
    settings,
)
from holdfast.core.goal import logits
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, Mode, divergence, goal_of, sought
from holdfast.objectives.teachers import answers_of, linear_teachers
from holdfast.threats.norms import LInf

COOLEST, HOTTEST = 0.1, 10.0  # temperatures


def entropy(z: Tensor) -> Tensor:
    """Mean entropy of the distributions of logits `(B, K)`, in nats."""
    logp = z.log_softmax(-1)
    return -(logp.exp() * logp).sum(-1).mean()


def cooled(z: Tensor, own: float, other: float, temperature: float, pace: float) -> float:
    """The temperature of a teacher after one step towards the other one's entropy.

    Entropy grows with temperature, so the more uncertain teacher is cooled and the other heated.

    Args:
        z: its logits.
        own: its mean entropy at its temperature.
        other: mean entropy of the other teacher.
        temperature: before the step.
        pace: length of the step.
    """
    if own == other or not len(z):
        return temperature
    step = pace if own < other else -pace
    return min(max(temperature + step, COOLEST), HOTTEST)


@register("objective", cites="mtard", name="mtard", says="Learns from two teachers.")
@settings
class TwoTeachers(Objective):
    """Multi-teacher adversarial distillation: the accurate teacher answers clean rows, the robust
    one attacked rows.

    The loss is `w KL(clean teacher || student at x) + (1 - w) KL(robust teacher || student at
    x')`, where x' has the largest cross-entropy of the student. Both divergences are taken
    relative to those of the first batch; `w` moves towards the clean one's share of their sum, so
    that what learns more slowly counts more. Meanwhile the teachers' temperatures move in small
    steps until both are equally uncertain; without that, one of them teaches mostly noise. No
    label is used except by the attack. The rows of a batch depend on each other by `w` alone.

    Cost per batch: the attack, two forward passes, one of each teacher.

    Unlike the paper: the temperatures move as its journal version says, with constants of our
    own; divergences are sums over classes, as everywhere else, not means.

    Raises (when called):
        ConfigError: without two teachers.

    Args:
        clean: the accurate teacher, in evaluation mode.
        robust: the robust teacher.
        attack: on the student.
        threat: which changes are admissible.
        pace: share by which the weight moves per step.
        heat: by how much temperatures move per step; 0 keeps them at 1.
        power: of the relative losses in the share.
        balance: weight of the clean teacher at the start.
        mode: mode of the model during the attack.
    """

    coupled: ClassVar[bool] = True
    clean: Ingredient[Model] = ingredient()
    robust: Ingredient[Model] = ingredient()
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")
    threat: Part[Threat] = LInf()
    pace: Share = 0.025
    heat: NonNegative = 0.001
    power: Positive = 1.0
    balance: Share = 0.5
    mode: Mode = "eval"

    @classmethod
    def example(cls, world: Any) -> TwoTeachers:
        """With two linear teachers of four inputs, for the laws."""
        clean, robust = linear_teachers(2)
        return cls(clean=clean, robust=robust)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat = tensor_of(batch), resolve(self.threat)
        goal = LargestLoss(goal_of(batch.y))
        change = sought(run, self.attack, x, lambda: goal, threat, self.mode)
        answers = (
            answers_of(self.clean, x, "TwoTeachers", "clean"),
            answers_of(self.robust, threat.apply(x, change), "TwoTeachers", "robust"),
        )
        heats = self._heats(run, answers)
        taught = [z.div(t).log_softmax(-1) for z, t in zip(answers, heats, strict=True)]
        plain = divergence(taught[0], logits(run.model(x)).log_softmax(-1))
        moved = logits(threat.through(run.model, x, change)).log_softmax(-1)
        attacked = divergence(taught[1], moved)
        weight = self._weight(run, float(plain.detach().mean()), float(attacked.detach().mean()))
        return weight * plain + (1 - weight) * attacked

    def _heats(self, run: Run, answers: tuple[Tensor, Tensor]) -> list[float]:
        """Temperatures of both teachers on this batch, from both entropies before the step."""
        memory = run.memory(self)
        heats = memory.get("heats", [1.0, 1.0])
        first, second = (float(entropy(z / t)) for z, t in zip(answers, heats, strict=True))
        memory["heats"] = [
            cooled(answers[0], first, second, heats[0], self.heat),
            cooled(answers[1], second, first, heats[1], self.heat),
        ]
        return list(heats)

    def _weight(self, run: Run, plain: float, attacked: float) -> float:
        """The weight of the clean teacher: how much of the relative loss is left to it."""
        memory = run.memory(self)
        start = memory.setdefault("start", [max(plain, 1e-12), max(attacked, 1e-12)])
        weight = float(memory.get("weight", self.balance))
        first, second = (plain / start[0]) ** self.power, (attacked / start[1]) ** self.power
        share = first / (first + second) if first + second > 0 else weight
        memory["weight"] = weight + self.pace * (share - weight)
        return weight
