"""Labels softened by what the model's own average thinks of each row."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import Decay, Positive, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Hook, Run
from holdfast.core.quiet import quiet
from holdfast.hooks.ema import EMA


@register("hook", cites="adr", says="Labels softened by the answers of the model's own average.")
@settings
class RectifiedLabels(Hook):
    """Annealing self-distillation: labels become shares, of which the model's average has a say.

    The average of the weights so far answers each row as it stands, at a temperature that falls
    over the run; its answer is mixed with the label in a share that grows. The more it prefers a
    wrong class the smaller its say, so that the label stays the most probable class: with gap
    `g = max p - p_y` its say is at most `1 - g`, hence the label leads by at least `g^2`. An
    objective that attacks climbs away from the class with the largest share: the label.

    The average is the one of `hook:ema`, kept once: ask for it with `swap`, and give this hook
    after those that change inputs.

    Cost per step: one forward pass of the average, and one look at each weight.

    Unlike the paper: the average does not count the weights before training, and the attack
    climbs away from the label itself, not from its softened form.

    Args:
        decay: of the average per step.
        hot: temperature of its answers at the start.
        cold: temperature at the end; both falls and rises go along half a cosine.
        low: its largest say at the start.
        high: its largest say at the end.
        swap: end the run with the average.
    """

    neutral: ClassVar[dict[str, Any]] = {"low": 0.0, "high": 0.0}

    decay: Decay = 0.995
    hot: Positive = 2.0
    cold: Positive = 1.0
    low: Share = 0.7
    high: Share = 0.95
    swap: bool = False

    def batch(self, run: Run, batch: Batch) -> Batch:
        state = self._average.averaged(run)
        with quiet(run.model), torch.no_grad():
            run.model.eval()
            answers = logits(functional_call(run.model, dict(state), (batch.x,)))
        part = (1 + math.cos(math.pi * run.progress)) / 2
        temperature = self.cold + (self.hot - self.cold) * part
        share = self.high + (self.low - self.high) * part
        return batch._replace(y=rectified(answers, batch.y, temperature, share))

    def stepped(self, run: Run) -> None:
        self._average.stepped(run)

    def end(self, run: Run) -> None:
        self._average.end(run)

    @property
    def _average(self) -> EMA:
        return EMA(decay=self.decay, swap=self.swap)


def rectified(answers: Tensor, y: Tensor, temperature: float, share: float) -> Tensor:
    """`(..., K)`: label shares between the labels and a teacher's answers.

    Args:
        answers: `(..., K)` logits of the teacher.
        y: labels `(...)`, or label shares `(..., K)`; without a label all shares are 0.
        temperature: what the logits are divided by.
        share: largest say of the teacher, in [0, 1].
    """
    p = (answers / temperature).softmax(-1)
    if y.is_floating_point():
        label = y.to(p)
    else:
        known = (y != UNLABELLED).unsqueeze(-1)
        label = F.one_hot(y.clamp(min=0), p.shape[-1]).to(p) * known
    gap = p.amax(-1, keepdim=True) - (p * label).sum(-1, keepdim=True)
    say = (share - gap).clamp(0, 1)
    return (say * p + (1 - say) * label) * (label.sum(-1, keepdim=True) > 0)
