"""Rows that switch other units on than the rows of their class do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.patterns import Patterns
from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Share, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Detector, Model, Score
from holdfast.core.quiet import quiet
from holdfast.ops.batch import Inputs


@dataclass(frozen=True, eq=False)
class PatternScore:
    """One plus the share of specified units that a row breaks; where it breaks none, its doubt.

    Args:
        model: whose units are looked at.
        patterns: of its classes.
    """

    model: Model
    patterns: Patterns

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        x = one_tensor(x, "activation patterns")
        if not len(x):
            return torch.zeros(0, dtype=torch.float64)
        with quiet(self.model), torch.no_grad():
            z = logits(self.model(x))
        known = z[:, : len(self.patterns.signs[0])].nan_to_num()
        share = self.patterns.violated(self.model, x, known.argmax(1))
        doubt = 1 - z.double().softmax(1).amax(1).nan_to_num(0.0)
        score = torch.where(share > 0, 1 + share, doubt)
        return torch.where(z.isfinite().all(1), score, torch.inf)


@register("detector", cites="nap-spec", name="activation-pattern")
@settings
class ActivationPattern(Detector):
    """Share of a class's typical units that a row switches otherwise, one added.

    Units that at least a share of the trusted rows of a class switch the same way make up the
    class's pattern. Rows that follow the pattern of their prediction lie in a region about which
    `certify.nap.pattern_margin` can prove more than about a ball alone.

    Unlike the paper, rows that follow all units are ranked too: below one, by how much of the
    probability the prediction leaves to others. Patterns alone do not see rows between classes.

    Cost: two forward passes per row.

    Args:
        share: of a class's trusted rows that must agree on a unit, above one half.
    """

    share: Share = 0.95

    def fit(self, model: Model, trusted: Batches) -> Score:
        """Learn the pattern of each class.

        Raises:
            Unsupported: for inputs that are no tensor, or a network without ReLU.
            ConfigError: for a share of one half or less.
            ShapeError: if no trusted row has a label.
        """
        known = one_tensor(trusted.x, "activation patterns")
        if not bool((trusted.y != UNLABELLED).any()):
            raise ShapeError(
                f"activation patterns: none of {len(trusted.y)} rows has a label",
                fix="Give labels y, numbered from 0; -100 stands for no label.",
            )
        return PatternScore(model, Patterns.mine(model, known, trusted.y, share=self.share))
