"""A gate that learns from good scans what spoiled ones look like."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Later, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.core.quiet import quiet
from holdfast.detect.features import distrust
from holdfast.layers.densenet import DenseNet3d
from holdfast.run.loop import Training
from holdfast.shifts.mri import Artefact, mri_artifact

KINDS: tuple[Artefact, ...] = get_args(Artefact)


def spoiled(volumes: Batches, kinds: tuple[Artefact, ...], dice: Dice) -> Batches:
    """Volumes with one artefact each: a kind and one of five levels drawn per volume.

    Args:
        volumes: `(B, 1, D, H, W)` in [0, 1].
        kinds: to draw from.
        dice: one row per volume.

    Returns:
        The volumes, with the levels, 1 to 5, in `more["level"]`.
    """
    x: Tensor = volumes.x.clone()  # type: ignore[union-attr]
    which = dice.spawn("kind").integers(len(kinds))
    level = dice.spawn("level").integers(5) + 1
    for number, kind in enumerate(kinds):
        for k in range(1, 6):
            rows = ((which == number) & (level == k)).nonzero()[:, 0]
            if len(rows):
                part = volumes.whole.take(rows)
                x[rows] = mri_artifact(part, k / 5, dice.part(rows), kind=kind).x  # type: ignore[assignment]
    return Batches(x=x, y=volumes.y, index=volumes.index, more={"level": level})


@settings
class ArtefactGate(Detector):
    """Trains a small dense net to tell trusted volumes from copies with simulated artefacts.

    It looks at inputs alone, so it can stand before any model; the score is the lead of the
    spoiled class. Each volume is normalised by itself. Good scans are all it needs.

    Cost: training on twice the trusted volumes; one pass of the small net per row scored.

    Unlike the paper: artefacts are simulated instead of labelled by experts, and the net is as
    small as it says.

    Args:
        epochs: of training.
        growth: channels that each layer of the net adds.
        blocks: layers of each of its blocks.
        kinds: artefacts to learn; empty for all ten.
        normalise: whether volumes are normalised; the scale of a scanner then does not matter.
        seed: of weights, artefacts and order.
    """

    epochs: Count = 3
    growth: Count = 8
    blocks: tuple[int, ...] = (3, 6, 8)
    kinds: tuple[Artefact, ...] = ()
    normalise: bool = True
    seed: int = 0

    def fit(self, model: Model, trusted: Batches) -> Score:
        """Learn from trusted volumes; the model is not asked.

        Args:
            model: what the gate stands before.
            trusted: volumes `(B, 1, D, H, W)` in [0, 1].

        Raises:
            Unsupported: if the rows are no volumes, or there are none.
        """
        x = trusted.x
        if not isinstance(x, Tensor) or x.dim() != 5 or not len(x):
            raise Unsupported(
                "ArtefactGate learns from volumes (B, 1, D, H, W), got "
                f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}",
                fix="Give trusted volumes as one tensor of five axes, one row or more.",
            )
        dice = Dice(self.seed, trusted.index, "artefacts")
        bad = spoiled(trusted, self.kinds or KINDS, dice)
        both = torch.cat([x, bad.x])  # type: ignore[list-item]
        y = torch.cat([torch.zeros(len(x)), torch.ones(len(x))]).long()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            net = DenseNet3d(2, self.growth, self.blocks, normalise=self.normalise).to(x)
        recipe = Training(epochs=self.epochs, optimizer=Later("torch:Adam", lr=3e-3))
        recipe(net, Batches(x=both, y=y, size=32), dice=Dice.of(len(y), self.seed))

        def score(x: Tensor, y: Tensor | None = None) -> Tensor:
            with quiet(net), torch.no_grad():
                z = net.eval()(x)
            return distrust((z[:, 1] - z[:, 0]).double())

        return score
