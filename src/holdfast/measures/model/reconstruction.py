"""How far reconstructions are from the truth, as measured and in the worst case of a threat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.distance import Farthest
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.kinds import Attack, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.run.reading import average
from holdfast.run.search import search


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """Errors of each row.

    Args:
        clean: `(B,)` normalised squared error (NMSE) without any change.
        worst: `(B,)` the same under the worst change found; None without a threat.
        name: prefix of the readings.
        threat: in the common grammar.
        alpha: of the intervals.
        seed: of draws and bootstrap.
    """

    clean: Tensor
    worst: Tensor | None
    name: str
    threat: str
    alpha: float
    seed: int

    @property
    def ratio(self) -> float:
        """How many times the mean error is as large in the worst case."""
        worst = self.clean if self.worst is None else self.worst
        return float(worst.mean() / self.clean.mean().clamp(min=1e-12))

    def readings(self) -> tuple[Reading, ...]:
        """Mean errors, clean and in the worst case."""

        def mean(name: str, values: Tensor, threat: str) -> Reading:
            return average(name, values, better="lower", unit="NMSE", threat=threat,
                           seed=self.seed, alpha=self.alpha)  # fmt: skip

        found = [mean(f"{self.name}.nmse", self.clean, "")]
        if self.worst is not None:
            found.append(mean(f"{self.name}.nmse@{self.threat}", self.worst, self.threat))
        return tuple(found)


@register("measure", cites="robust-mri", says="Error of reconstructions, also in the worst case.")
def reconstruction(
    reconstructor: nn.Module,
    batches: Batches,
    *,
    threat: Threat | None = None,
    attack: Attack | str = "attack:pgd",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "reconstruction",
) -> Reconstructed:
    """Normalised squared error of what a model makes of its inputs, against the truth.

    For changes of the measured image give the reconstructor and its inputs as they are; for
    changes of the object give `Rescanned(reconstructor, scan)` and the objects, with zeros as
    `target` and the squared lengths of the objects as `scale`.

    Args:
        reconstructor: inputs -> images.
        batches: inputs, with the true images in `more["target"]` (the inputs themselves unless
            given) and what squared errors are divided by in `more["scale"]` (the squared length
            of the target unless given). Labels are not looked at.
        threat: admissible changes of the inputs; None for the clean error alone.
        attack: how the worst one is sought.
        alpha: intervals over the rows cover with probability about 1 - alpha.
        seed: of draws and bootstrap.
        name: prefix of the readings.

    Raises:
        Unsupported: if the inputs are not one tensor.
        ShapeError: without rows, or if outputs and targets do not fit.

    Cost: one forward pass per row, and the search.
    """
    x = one_tensor(batches.x, name)
    some_rows(x, name)
    target = batches.more.get("target", x)
    scale = batches.more.get("scale", target.abs().square().flatten(1).sum(1)).clamp(min=1e-12)
    goal = Farthest(target, scale)
    with quiet(reconstructor), torch.no_grad():
        clean = goal.soft(reconstructor(x)).double()
    if threat is None:
        return Reconstructed(clean, None, name, "", alpha, seed)
    dice = Dice(seed, batches.index, name)
    found = search(resolve(attack), reconstructor, x, goal, threat, dice=dice)
    with quiet(reconstructor), torch.no_grad():
        worst = goal.soft(threat.through(reconstructor, x, found.change)).double()
    return Reconstructed(clean, worst, name, threat.spec, alpha, seed)


def peak_ratio(found: Tensor, truth: Tensor) -> Tensor:
    """`(B,)`: peak signal to noise in decibels, the peak being the largest true value."""
    off = (found - truth).square().flatten(1).mean(1)
    return 10 * torch.log10(truth.flatten(1).amax(1).square() / off.clamp(min=1e-12))


def by_angle(reconstructor: nn.Module, objects: Tensor, threat: Threat, angles: Tensor) -> Tensor:
    """`(A,)`: mean error at each change of a threat of one parameter, as a curve.

    Args:
        reconstructor: a `Rescanned` one: objects -> errors.
        objects: `(B, 1, H, W)`.
        threat: such as a rotation.
        angles: `(A,)` changes, in radii of the threat.
    """
    scale = objects.square().flatten(1).sum(1).clamp(min=1e-12)
    found = []
    with quiet(reconstructor), torch.no_grad():
        for angle in angles.tolist():
            off = threat.through(reconstructor, objects, threat.none(objects) + angle)
            found.append((off.square().flatten(1).sum(1) / scale).mean())  # type: ignore[union-attr]
    return torch.stack(found)
