"""Erase and check: free positions of a prompt that a filter cannot be misled by."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.certify.discrete.erased import Erased, erased
from holdfast.certify.discrete.rounding import disagreement
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import settings
from holdfast.core.goal import Goal, Targeted, Untargeted, logits
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.threats.slots import Slots


@register(
    "certifier",
    name="erase-and-check",
    cites="erase-and-check",
    says="Proves that a harmful prompt is found whatever tokens are written into its free places.",
)
@settings
class EraseAndCheck(Certifier):
    """Bounds the adversary's margin by that of the filter on the prompt without free positions.

    The prompt without the adversary's tokens is one of the versions that `Erased` looks at, as
    long as the free positions fit its mode. Its answer leads by at least as much, so the margin
    of every filling is at most the filter's own margin there. Rows with another label than the
    harmful class are not protected, and nothing is proved of them.

    A proof, not a statement with a confidence; the certified share of harmful prompts is the
    share that the filter itself finds, and does not depend on the attack.

    The same prompt among other rows of a batch may be answered a little differently; the bound
    is raised by as much as outputs may then differ (`rounding.disagreement`).

    Cost: one forward pass of the filter per row. `Erased` itself needs `checks(length)`.
    """

    discrete: ClassVar[bool] = True

    def subject(self, model: Model) -> Model:
        """The filter around a model of tokens that laws try this certifier on."""
        return Erased(model, mode="infusion", erase=2)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """The certificate of each row.

        Args:
            model: an `Erased` filter.
            x: `(B, L)` ids, with the marker of the threat at the free positions.
            goal: untargeted with labels, or targeted.
            threat: the free positions of each row.
            dice: not used.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        if not isinstance(model, Erased) or model.share < 1:
            raise Unsupported(
                "certifier:erase-and-check certifies an Erased filter with share 1, not its base",
                fix="Pass Erased(filter, mode='suffix', erase=20), and attack that.",
                code="E0312",
            )
        if not isinstance(threat, Slots):
            raise Unsupported(
                f"certifier:erase-and-check covers free positions, not {threat.spec}",
                fix="Use slots:TOKEN:VOCABULARY.",
                code="E0312",
            )
        if not isinstance(goal, Untargeted | Targeted):
            raise Unsupported(
                f"certifier:erase-and-check knows classes, not {type(goal).__name__}",
                fix="Use an untargeted or targeted goal.",
                code="E0312",
            )
        free = x == threat.token
        with quiet(model), torch.no_grad():
            if threat.limits(x)[1] < 1:  # nothing can be written: the row stands as it is
                return Certificate(model, threat, goal(model(x)).double())
            clean = erased(x, ~free, model.padding)
            z = logits(model.base(clean))
        lead = model.lead(z).double()
        slack = disagreement(z)
        mine = (
            goal.y == model.harmful if isinstance(goal, Untargeted)
            else goal.target != model.harmful
        ).to(x.device)  # fmt: skip
        spoken = (~free & (x != model.padding)).any(1)
        safe = mine & spoken & self._fits(model, x, free) & lead.isfinite()
        return Certificate(model, threat, torch.where(safe, slack - lead, torch.inf))

    def _fits(self, model: Erased, x: Tensor, free: Tensor) -> Tensor:
        """`(B,)` bool: whether some version of every filling has just the free positions erased."""
        count = free.sum(1)
        if model.mode == "infusion":
            return count <= model.erase
        if model.mode == "suffix":
            # From the first free position on there is nothing else, but for padding behind.
            place = torch.arange(1, x.shape[1] + 1, device=x.device)
            length = ((free | (x != model.padding)) * place).amax(1)
            first = free.long().argmax(1)
            return (count <= model.erase) & ((count == 0) | (length - first == count))
        return torch.tensor(
            [_runs_needed(row.tolist(), model.erase) <= model.blocks for row in free],
            dtype=torch.bool, device=free.device,
        )  # fmt: skip


def _runs_needed(free: list[bool], erase: int) -> int:
    """How many runs of at most `erase` neighbouring tokens cover just the free positions."""
    needed = run = 0
    for taken in [*free, False]:
        if taken:
            run += 1
        elif run:
            needed += -(-run // erase) if erase else len(free) + 1
            run = 0
    return needed
