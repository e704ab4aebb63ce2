"""Training a generator of images from label maps, with a critic of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, settings
from holdfast.core.kinds import Objective, Run
from holdfast.layers.spade import LabelToImage
from holdfast.objectives.adversarial import tensor_of


class PatchCritic(nn.Module):
    """Scores every patch of an image beside its label map.

    Args:
        classes: of the map.
        channels: of the image.
        width: of the features.
    """

    def __init__(self, classes: int, channels: int, width: int = 12) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Conv2d(classes + channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """`(B,)`: the mean over patches is taken by the loss, so this gives `(B, H, W)`."""
        hot = F.one_hot(labels.clamp(min=0), self.classes).permute(0, 3, 1, 2).to(x)
        out: Tensor = self.layers(torch.cat([x, hot], 1))
        return out[:, 0]


@settings
class MapToImage(Objective):
    """A generator learns to paint label maps so that a critic takes it for the real painter.

    Rows are real images with their maps in `more["map"]`; the run's model is a `LabelToImage`.
    Its loss is the distance to the real image and what the critic says of the generated one; the
    critic's is the hinge loss on both. Each reaches only its own weights.

    Unlike the paper, one critic of one scale, no features of a trained net, and no attention.

    Cost: one pass of the generator, three of the critic.

    Args:
        pixels: weight of the mean absolute difference.
        critic: weight of the critic's word.
    """

    pixels: NonNegative = 10.0
    critic: NonNegative = 0.5

    def parts(self, model: nn.Module) -> nn.Module:
        """The critic, for maps and images of the model."""
        if not isinstance(model, LabelToImage):
            raise Unsupported(
                f"MapToImage trains a LabelToImage, got {type(model).__name__}",
                fix="Give holdfast.layers.spade.LabelToImage(classes) as the model.",
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return PatchCritic(model.classes, model.fine.out_channels)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        if not isinstance(run.model, LabelToImage) or "map" not in batch.more:
            raise Unsupported(
                'MapToImage needs a LabelToImage and maps in more["map"], got '
                f"{type(run.model).__name__} and {sorted(batch.more)}",
                fix='Give Batches(x=x, y=y, more={"map": maps}).',
            )
        x, labels = tensor_of(batch), batch.more["map"]
        noise = run.dice.spawn("style").normal((run.model.style,), device=x.device, dtype=x.dtype)
        made = run.model(labels, noise)
        judge = run.parts[next(iter(run.parts))]
        still = {n: p.detach() for n, p in judge.named_parameters()}
        fooled = functional_call(judge, still, (made, labels)).flatten(1).mean(1)
        real, fake = judge(x, labels), judge(made.detach(), labels)
        learned = torch.relu(1 - real).flatten(1).mean(1) + torch.relu(1 + fake).flatten(1).mean(1)
        apart = (made - x).abs().flatten(1).mean(1)
        total: Tensor = self.pixels * apart - self.critic * fooled + learned
        return total
