"""Cosmetic defences: wrappers that make attacks fail without making a net any more robust."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.ops.jpeg import jpeg

LEVELS = 255  # the grid on which unchanged inputs lie


class Wrapped(nn.Module):
    """A base net behind something that hides it."""

    def __init__(self, base: nn.Module, strength: float = 1.0) -> None:
        super().__init__()
        self.base, self.strength = base, strength


class Scaled(Wrapped):
    """Logits times `strength`: the cross-entropy rounds to zero."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x)
        return self.strength * z


class Rounded(Wrapped):
    """Inputs rounded to `strength` levels: the slope is zero almost everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base((x * self.strength).round() / self.strength)
        return z


class Squashed(Wrapped):
    """Probabilities of logits times `strength`: flat where the net is sure."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x)
        return (self.strength * z).softmax(1)


class Noised(Wrapped):
    """Gaussian noise of deviation `strength` is added to each input."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x + self.strength * torch.randn_like(x))
        return z


class Shaken(Wrapped):
    """Each image is shrunk by up to `strength` pixels and put in a random place."""

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        less = int(torch.randint(int(self.strength) + 1, ()))
        small = F.interpolate(x, (h - less, w - less), mode="bilinear", align_corners=False)
        down, right = (int(torch.randint(less + 1, ())) for _ in range(2))
        z: Tensor = self.base(F.pad(small, (right, less - right, down, less - down)))
        return z


class Detached(Wrapped):
    """The right answers, cut off from the graph."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x.detach())
        return z.detach()


def off_grid(x: Tensor) -> Tensor:
    """`(B,)` bool: rows that do not lie on the grid of unchanged inputs."""
    levels = x * LEVELS
    return ((levels - levels.round()).abs() > 1e-3).flatten(1).any(1)


class Silent(Wrapped):
    """NaN for every input that lies off the grid of unchanged inputs."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x)
        return z.masked_fill(off_grid(x)[:, None], torch.nan)


class Constant(Wrapped):
    """Off the grid of unchanged inputs it answers as for the nearest input that it remembers."""

    known: Tensor

    def __init__(self, base: nn.Module, known: Tensor) -> None:
        super().__init__(base)
        self.register_buffer("known", known.clone())

    def forward(self, x: Tensor) -> Tensor:
        nearest = torch.cdist(x.detach().flatten(1), self.known.flatten(1)).argmin(1)
        z: Tensor = self.base(torch.where(_fit(off_grid(x), x), self.known[nearest], x))
        return z


def _fit(mask: Tensor, x: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (x.dim() - 1))


class Dropped(Wrapped):
    """Dropout of a share `strength` of the inputs, in a module left in training mode."""

    def __init__(self, base: nn.Module, strength: float = 0.2) -> None:
        super().__init__(base, strength)
        self.drop = nn.Dropout(strength)
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(self.drop(x))
        return z


class Clipped(Wrapped):
    """Logits, measured from the middle of the first two, are cut to +/- `strength`."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x)
        middle = z.topk(2, 1).values.mean(1, keepdim=True)
        return (z - middle).clamp(-self.strength, self.strength)


class Compressed(Wrapped):
    """Inputs go through JPEG at quality `strength`."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(jpeg(x, self.strength))
        return z


class Purified(Wrapped):
    """Before it answers it moves the input towards its own first answer, `strength` at most."""

    steps = 3

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = x.detach().clone().requires_grad_()
            first = self.base(moved).detach().argmax(1)
            for _ in range(self.steps):
                loss = F.cross_entropy(self.base(moved), first, reduction="sum")
                (slope,) = torch.autograd.grad(loss, moved)
                moved = (moved - self.strength / self.steps * slope.sign()).detach()
                moved.requires_grad_()
        z: Tensor = self.base(moved.detach() + 0 * x)
        return z


class Bytes(Wrapped):
    """Takes inputs in [0, 255]: a radius for [0, 1] is a 255th of what it should be."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x / 255)
        return z
