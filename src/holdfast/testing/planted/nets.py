"""The nets into which counterexamples are planted, and what is known of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.core.goal import Untargeted
from holdfast.testing.worlds.linear import draws
from holdfast.threats.norms import LInf

CLASSES = 3
Architecture = Literal[
    "deep", "wide", "convolution", "strided", "pooled", "residual", "leaky", "tanh", "sigmoid"
]


class Residual(nn.Module):
    """Two hidden layers around which the input of the second is added again."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.start, self.inner = nn.Linear(size, hidden), nn.Linear(hidden, hidden)
        self.back, self.head = nn.Linear(hidden, hidden), nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.start(x.flatten(1)))
        z = torch.relu(z + self.back(torch.relu(self.inner(z))))
        out: Tensor = self.head(z)
        return out


def _dense(size: int, depth: int, hidden: int, bend: Callable[[], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(depth):
        layers += [nn.Linear(size, hidden), bend()]
        size = hidden
    return nn.Sequential(*layers, nn.Linear(size, CLASSES))


def _images(layers: list[nn.Module], width: int) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, 16), nn.ReLU(),
                         nn.Linear(16, CLASSES))  # fmt: skip


ARCHITECTURES: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "deep": ((8,), lambda: _dense(8, 4, 12, nn.ReLU)),
    "wide": ((8,), lambda: _dense(8, 2, 40, nn.ReLU)),
    "convolution": ((1, 5, 5), lambda: _images([nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()], 100)),
    "strided": ((2, 6, 6), lambda: _images(
        [nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 2, groups=2), nn.ReLU()], 6)),
    "pooled": ((1, 6, 6), lambda: _images(
        [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)], 36)),
    "residual": ((8,), lambda: Residual(8, 16)),
    "leaky": ((8,), lambda: _dense(8, 3, 16, lambda: nn.LeakyReLU(0.1))),
    "tanh": ((8,), lambda: _dense(8, 2, 16, nn.Tanh)),
    "sigmoid": ((8,), lambda: _dense(8, 2, 16, nn.Sigmoid)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Planted:
    """One net and one row about which the truth is known.

    Args:
        name: how it was made.
        model: in eval mode; it answers `y` at `x` and something else at `witness`.
        x: `(1, ...)` the input in the middle.
        y: `(1,)` its label.
        witness: `(1, ...)` an input within `radius` of `x`, in the maximum norm and in [0, 1].
        radius: of the threat.
        easy: a radius at which a sound verifier of some strength proves the row.
    """

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    witness: Tensor
    radius: float
    easy: float

    @property
    def goal(self) -> Untargeted:
        """Any other class than the label."""
        return Untargeted(self.y)

    @property
    def threat(self) -> LInf:
        """The threat that holds the witness."""
        return LInf(radius=self.radius)

    @property
    def truth(self) -> bool:
        """Whether the net, as it is computed, is right at `x`, wrong at an admissible witness."""
        change = self.witness - self.x
        with torch.no_grad():
            right, wrong = self.goal(self.model(self.x)), self.goal(self.model(self.witness))
        admissible = (self.threat.size(self.x, change) <= 1) & (
            self.threat.apply(self.x, change) == self.witness
        ).all()
        return bool((right < 0).all() & (wrong >= 0).all() & admissible.all())


def random_net(architecture: str, seed: int, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    """A net with weights of the size that keeps signals alive, and an input in [0.3, 0.7]."""
    shape, build = ARCHITECTURES[architecture]
    g, model = draws(seed), build().double()
    with torch.no_grad():
        for name, p in model.named_parameters():
            fan = max(1, p[0].numel()) if p.dim() > 1 else 1
            scale = (2 / fan) ** 0.5 if p.dim() > 1 else 0.3
            p.copy_(scale * torch.randn(p.shape, generator=g, dtype=torch.float64))
            if name.endswith("bias") and p.shape == (CLASSES,):
                p.zero_()
    x = 0.3 + 0.4 * torch.rand(1, *shape, generator=g, dtype=torch.float64)
    return model.to(dtype).eval(), x.to(dtype)


def last_bias(model: nn.Module) -> Tensor:
    """The bias of the layer that makes the logits."""
    found = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == CLASSES]
    return found[-1].bias
