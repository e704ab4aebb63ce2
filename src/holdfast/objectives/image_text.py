"""Pairs of images and texts, learned while the images are attacked."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.endless import Endless
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, Part, Positive, ingredient, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Attack, Model, Objective, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import sought
from holdfast.threats.norms import LInf


class Texts(nn.Module):
    """A text tower and the scale of the cosines, which are trained beside the image tower.

    Args:
        tower: texts to embeddings `(B, d)`.
        temperature: of the cosines, at first.
    """

    def __init__(self, tower: nn.Module, temperature: float) -> None:
        super().__init__()
        self.tower = tower
        like = next(tower.parameters(), torch.zeros(()))
        self.log_scale = nn.Parameter(torch.full((), -log(temperature), dtype=like.dtype))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by, at most 100."""
        return self.log_scale.exp().clamp(max=100.0)


@dataclass(frozen=True, eq=False)
class Mismatched(Endless):
    """The change under which an image fits other texts better than its own.

    Args:
        texts: `(N, d)` all texts, of length 1.
        own: `(B,)` which of them belongs to each image.
        scale: of the cosines.
    """

    texts: Tensor
    own: Tensor
    scale: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        u = F.normalize(logits(outputs).flatten(1), dim=1)
        return F.cross_entropy(self.scale * u @ self.texts.T, self.own, reduction="none")

    def take(self, rows: Tensor | slice) -> Mismatched:
        return Mismatched(self.texts, self.own[rows], self.scale)


@dataclass(frozen=True, eq=False)
class Far(Endless):
    """The change that moves an embedding furthest from a fixed one.

    Args:
        start: `(B, d)` embeddings to move away from.
    """

    start: Tensor

    def soft(self, outputs: Outputs) -> Tensor:
        return (logits(outputs) - self.start).square().flatten(1).sum(1)

    def take(self, rows: Tensor | slice) -> Far:
        return Far(self.start[rows])


def matched(u: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    """`(B,)`: cross-entropy of finding each image's text and each text's image, halved.

    Args:
        u: `(B, d)` images, of length 1.
        v: `(B, d)` their texts, of length 1.
        scale: of the cosines.
    """
    alike = scale * u @ v.T
    own = torch.arange(len(u), device=u.device)
    found = [F.cross_entropy(z, own, reduction="none") for z in (alike, alike.T)]
    return (found[0] + found[1]) / 2


@register("objective", cites="double-visual-defense", name="adversarial-clip")
@settings
class AdversarialContrastive(Objective):
    """Adversarial CLIP: images under attack and their texts find one another.

    The run's model is the image tower, any module from images to embeddings; the text tower and
    the scale of the cosines are trained beside it. An image is first changed so that it fits the
    other texts of the batch, and then both towers learn to match images and texts, either way.
    Texts are `more["text"]`, or the label, where there is none: the name of the class. Rows
    depend on each other. At radius 0 it is contrastive training. `layers.zero_shot.ZeroShot` makes
    a classifier of both towers. Phases of growing size and steps are runs one after the other.

    Unlike the paper: the attack climbs the half of the loss in which an image seeks its text, which
    does not depend on the other images; there is no loss of a captioner.

    Cost: the attack, and one forward pass of each tower.

    Args:
        text: the text tower; trained in place.
        threat: changes of the images.
        attack: how the worst change is sought.
        temperature: of the cosines at first; learned.
    """

    coupled: ClassVar[bool] = True
    text: Ingredient[nn.Module] = ingredient()
    threat: Part[Threat] = LInf(radius=4 / 255)
    attack: Part[Attack] = PGD(steps=3, travel=2.5, climb="soft")
    temperature: Positive = 0.07

    @classmethod
    def example(cls, world: Any) -> AdversarialContrastive:
        """With a table of three texts, for the laws."""
        with torch.random.fork_rng():
            torch.manual_seed(6)
            return cls(text=nn.Embedding(3, 3, dtype=torch.float64))

    def parts(self, model: nn.Module) -> nn.Module:
        """The text tower and the scale."""
        if self.text is None:
            raise ConfigError("adversarial-clip needs a text tower", fix="Pass text=tower.")
        return Texts(self.text, self.temperature)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat = tensor_of(batch), resolve(self.threat)
        texts: Any = run.parts["objective"]
        v = F.normalize(logits(texts.tower(batch.more.get("text", batch.y))), dim=1)
        scale = texts.scale
        goal = Mismatched(v.detach(), torch.arange(len(x), device=x.device), scale.detach())
        change = sought(run, self.attack, x, lambda: goal, threat)
        u = F.normalize(logits(threat.through(run.model, x, change)).flatten(1), dim=1)
        return matched(u, v, scale)


@register("objective", cites="double-visual-defense", name="fare")
@settings
class FareLoss(Objective):
    """FARE: embeddings under attack stay where a frozen tower has the images as they are.

    The light alternative to training from scratch: a finished tower is tuned without labels or
    texts, so that everything behind it goes on working. At radius 0, from the frozen tower
    itself, the loss is 0.

    Cost: one forward pass of the frozen tower, the attack, and one forward pass.

    Args:
        reference: the frozen tower; without one embeddings are drawn to those of the present one.
        threat: changes of the images.
        attack: how the worst change is sought.
    """

    reference: Ingredient[Model] = ingredient()
    threat: Part[Threat] = LInf(radius=4 / 255)
    attack: Part[Attack] = PGD(steps=10, travel=2.5, climb="soft")

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat = tensor_of(batch), resolve(self.threat)
        fixed = run.model if self.reference is None else self.reference
        with quiet(fixed), torch.no_grad():
            start = logits(fixed(x))
        change = sought(run, self.attack, x, lambda: Far(start), threat)
        return Far(start).soft(threat.through(run.model, x, change))
