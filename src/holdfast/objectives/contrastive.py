"""Learning without labels: two views of a row belong together."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Natural, NonNegative, Positive, Share, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Objective, Run
from holdfast.ops.batch import fit


@register("objective", cites="ctrl-ssl-backdoor", name="simclr", says="Two views of a row agree.")
@settings
class SimCLR(Objective):
    """Contrastive learning: each view must know the other one among all views of the batch.

    The model's outputs are embeddings. For each row two random views are made; the loss is the
    cross-entropy of finding the partner of a view by cosine, divided by the temperature, among
    the other views of the batch. Labels are never looked at. Rows depend on each other.

    Cost: one forward pass of twice the batch.

    Unlike the paper: of its three ways to learn without labels this is the one with negatives;
    views are shifts, noise and gain, without crops, flips and colours.

    Args:
        temperature: of the cosines.
        noise: standard deviation of normal noise on a view, in the unit of the inputs.
        moves: pixels by which images are moved at most, in each direction; flat rows stay.
        gain: largest share by which the whole input is made stronger or weaker.
    """

    coupled: ClassVar[bool] = True
    temperature: Positive = 0.5
    noise: NonNegative = 0.1
    moves: Natural = 1
    gain: Share = 0.2

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = one_tensor(batch.x, "SimCLR", floating=True)
        views = [self.view(x, run.dice.spawn(f"view{k}")) for k in range(2)]
        f = F.normalize(logits(run.model(torch.cat(views))).flatten(1), dim=1)
        return together(f, self.temperature)

    def view(self, x: Tensor, dice: Dice) -> Tensor:
        """A random view of each row, in [0, 1]."""
        factor = 1 + self.gain * (2 * dice.uniform(device=x.device, dtype=x.dtype) - 1)
        noisy = x + self.noise * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
        seen = (fit(factor, x) * noisy).clamp(0, 1)
        if x.dim() != 4 or not self.moves:
            return seen
        return _moved(seen, dice.integers(2 * self.moves + 1, (2,), device=x.device) - self.moves)


def _moved(x: Tensor, by: Tensor) -> Tensor:
    """Images moved by whole pixels, zeros coming in."""
    down, across = (torch.arange(side, device=x.device) for side in x.shape[2:])
    i, j = down[None] - by[:, :1], across[None] - by[:, 1:]
    inside = ((i >= 0) & (i < len(down)))[:, :, None] & ((j >= 0) & (j < len(across)))[:, None]
    i, j = i.clamp(0, len(down) - 1), j.clamp(0, len(across) - 1)
    rows = torch.arange(len(x), device=x.device)[:, None, None]
    taken = x.movedim(1, 3)[rows, i[:, :, None], j[:, None]].movedim(3, 1)
    return taken * inside[:, None].to(x)


def together(f: Tensor, temperature: float) -> Tensor:
    """`(B,)`: loss of finding each row's partner among the views.

    Args:
        f: `(2B, d)` of length 1: all first views, then all second ones.
        temperature: of the cosines.
    """
    count = len(f) // 2
    alike = f @ f.T / temperature
    alike = alike.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=f.device), -torch.inf)
    partner = (torch.arange(2 * count, device=f.device) + count) % max(2 * count, 1)
    return F.cross_entropy(alike, partner, reduction="none").view(2, count).mean(0)
