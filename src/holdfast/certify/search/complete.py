"""Complete certifiers: branch and bound, alone or after an exact solver named the number."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.prepare import Question, prepare
from holdfast.certify.search.branch import Decision, prove
from holdfast.certify.search.milp import worst_way
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Positive, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat


def begun(
    model: Model, x: Tensor, goal: Goal, threat: Threat, *, linear: bool = False
) -> tuple[Question | None, Tensor]:
    """The question, None for an empty batch, and the margins that alpha-CROWN proves.

    Args:
        model: to be read.
        x: `(B, ...)` inputs.
        goal: linear in the logits.
        threat: a norm ball.
        linear: whether the region must be a polytope.

    Raises:
        Unsupported: where it is none though it must be, and for what else cannot be bounded.
    """
    question = prepare(model, x, goal, threat)
    if question is None:
        return None, x.new_zeros(0).double()
    if linear and question.region.norm not in (1, torch.inf):
        raise Unsupported(
            f"{threat.spec} is round, and mixed-integer programs have flat sides",
            fix="Use beta-crown, which covers it, or certify linf:8/255 or l1:2.",
            code="E0312",
        )
    return question, AlphaCROWN(steps=3, last=10)(model, x, goal, threat).margin


def decided(
    question: Question, row: int, level: float, seconds: float, parts: int,
    *, signs: bool | None = None, attack: bool = True,
) -> Decision:  # fmt: skip
    """Decide whether the margin of a row can reach a level.

    Args:
        question: as prepared.
        row: which.
        level: of the margin.
        seconds: limit.
        parts: limit.
        signs: as of `prove`.
        attack: as of `prove`.
    """
    graph, region, c, constant = question
    one = region.take(slice(row, row + 1))
    low, high = one.box.low[0], one.box.high[0]
    ball = None if one.radius is None else one
    ways = [
        (-c[row, w : w + 1], constant[row, w : w + 1] - level)
        for w in range(c.shape[1])
        if bool(constant[row, w] > -torch.inf)
    ]
    end = time.monotonic() + seconds
    return prove(
        graph, low, high, ways, deadline=end, attack=attack, most=parts, signs=signs, ball=ball
    )


@register(
    "certifier",
    name="beta-crown",
    cites=("beta-crown", "float-soundness"),
    says="Proves or refutes by branch and bound: splits signs of neurons, or inputs where few.",
)
@settings
class BetaCROWN(Certifier):
    """Divides what alpha-CROWN leaves undecided until each part is proved or a change is found.

    Sound because the parts cover the region and each is closed by a linear bound rounded outward;
    the sign of a split neuron enters with a multiplier, any value of which gives a bound that
    holds. Complete for ReLU networks, given time: then a row that is not proved can be broken,
    up to rounding. Only where many inputs meet an L2 ball are multipliers of parts without an
    open sign sought by ascent, which may leave a close row undecided.

    Unlike the paper, networks with few inputs are divided along the input that answers for most
    of the looseness, and where no sign is left open the multipliers come from a linear program.

    Args:
        seconds: limit per row.
        parts: limit of parts per row.

    Cost: alpha-CROWN, and up to `parts` bounds of about a dozen passes each per undecided row.
    """

    seconds: Positive = 60.0
    parts: Count = 10000

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over the whole threat, of the model as it is computed.

        Rows that cannot be proved keep the bound of alpha-CROWN.

        Args:
            model: in eval mode, made of the operators that can be read.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a norm ball.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded.
        """
        question, margin = begun(model, x, goal, threat)
        if question is None:
            return Certificate(model, threat, margin)
        for row in (~(margin < 0)).nonzero().flatten().tolist():
            found = decided(question, row, 0.0, self.seconds, self.parts)
            if found.answer == "unsat":
                margin[row] = min(float(margin[row]), -found.least)
        return Certificate(model, threat, margin)


@register(
    "certifier",
    name="milp",
    cites=("milp", "float-soundness"),
    says="Finds the exact worst margin of a small ReLU network by mixed-integer programming.",
)
@settings
class MILP(Certifier):
    """Asks a mixed-integer solver (HiGHS) for the worst margin and has branch and bound prove it.

    What a solver returns in floating point is no proof: it may violate constraints by its
    tolerance. So its number, raised by `slack`, is proved as an upper bound by branch and bound
    with outward rounding; a row on which that fails keeps the bound of alpha-CROWN. Where it
    succeeds the bound is exact up to `slack`. Signs are split whatever the number of inputs: so
    close to the truth boxes of inputs would have to be about as small as `slack`.

    Args:
        slack: by how much the bound may lie above the solver's number.
        seconds: limit per row, of the solver and of the proof each.
        parts: limit of parts per row of the proof.

    Cost: exponential in the number of open neurons at worst; a few hundred are within reach.
    """

    slack: Positive = 1e-4
    seconds: Positive = 60.0
    parts: Count = 10000

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over the whole threat, of the model as it is computed.

        Args:
            model: in eval mode, made of affine operators and ReLU.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a ball in the maximum norm or in L1.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded.
        """
        question, margin = begun(model, x, goal, threat, linear=True)
        if question is None:
            return Certificate(model, threat, margin)
        for row in range(len(x)):
            worst = worst_way(question, row, self.seconds)
            if worst is None or worst + self.slack >= float(margin[row]):
                continue
            level = worst + self.slack
            # Nothing to look for: the solver says that no input reaches the level.
            found = decided(
                question, row, level, self.seconds, self.parts, signs=True, attack=False
            )
            if found.answer == "unsat":
                margin[row] = level
        return Certificate(model, threat, margin)
