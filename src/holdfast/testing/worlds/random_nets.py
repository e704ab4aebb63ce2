"""Random networks of every layer that certifiers read, drawn to be awkward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.testing.worlds.linear import draws

SCALES = (1e-20, 1e-3, 0.3, 1.0, 1.0, 3.0, 30.0)


class RandomNet(nn.Module):
    """A network whose layers, sizes, weights and ways of calling them are drawn from a seed.

    Blocks are convolutions with stride, padding, dilation and groups, linear layers, batch
    normalisation, residual sums, layers used twice, average pools, transposes, negations and
    constants; weights are dense, sparse, dead, tiny or huge.

    Args:
        seed: of everything.
        dtype: of weights.
        image: whether inputs are `(B, 2, 6, 6)`; otherwise they are `(B, 5)`.
        classes: number of logits.
    """

    def __init__(
        self, seed: int, dtype: torch.dtype, *, image: bool = False, classes: int = 3
    ) -> None:
        super().__init__()
        self.g = draws(seed)
        self.shape = (2, 6, 6) if image else (5,)
        self.plan: list[str] = []
        self.layers = nn.ModuleDict()
        shape: tuple[int, ...] = self.shape
        for depth in range(1 + self._pick(3)):
            shape = self._block(depth, shape)
        size = int(torch.Size(shape).numel())
        self.layers["last"] = nn.Linear(size, classes, bias=bool(self._pick(4)))
        self._draw_weights()
        self.to(dtype).eval()

    def _pick(self, high: int) -> int:
        return int(torch.randint(high, (), generator=self.g))

    def _block(self, depth: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Plan one block; returns the shape behind it."""
        if len(shape) == 3:
            kind = ["conv", "norm", "residual", "pool", "turn", "flat", "shift"][self._pick(7)]
        else:
            kind = ["linear", "norm", "residual", "twice", "shift"][self._pick(5)]
        name, made = f"{kind}{depth}", self._made(kind, shape)
        if made is not None:
            self.layers[name] = made
        self.plan.append(name)
        with torch.no_grad():
            return tuple(self.eval().block(name, torch.zeros(1, *shape)).shape[1:])

    def _made(self, kind: str, shape: tuple[int, ...]) -> nn.Module | None:
        channels = shape[0]
        if kind == "conv":
            out, groups = 2 * (1 + self._pick(2)), 2 if channels % 2 == 0 and self._pick(2) else 1
            return nn.Conv2d(
                channels, out, 1 + self._pick(min(3, shape[1])), stride=1 + self._pick(2),
                padding=self._pick(2), groups=groups, bias=bool(self._pick(2)),
            )  # fmt: skip
        if kind == "norm":
            return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(channels)
        if kind == "residual" and len(shape) == 3:
            return nn.Conv2d(channels, channels, 3, padding=1)
        if kind in ("linear", "residual", "twice"):
            return nn.Linear(channels, channels if kind != "linear" else 2 + self._pick(6))
        return None

    def block(self, name: str, z: Tensor) -> Tensor:
        """One block of the plan on its inputs."""
        layer: Any = self.layers[name] if name in self.layers else None
        shift = torch.tensor(-0.7, dtype=z.dtype)
        ways: dict[str, Callable[[], Tensor]] = {
            "residual": lambda: F.relu(z + layer(z)),
            "twice": lambda: layer(F.relu(layer(z))),
            "pool": lambda: F.avg_pool2d(z, 2) if z.shape[-1] > 1 else z.mean((2, 3), keepdim=True),
            "turn": lambda: -z.transpose(2, 3).permute(0, 1, 3, 2),
            "flat": lambda: z.reshape(len(z), -1),
            "shift": lambda: (z - 0.3) / 0.25 * shift + 1,
        }
        return ways.get(name.rstrip("0123456789"), lambda: torch.relu(layer(z)))()

    def _draw_weights(self) -> None:
        with torch.no_grad():
            for p in self.parameters():
                scale = SCALES[self._pick(len(SCALES))]
                p.copy_(scale * torch.randn(p.shape, generator=self.g))
                if self._pick(4) == 0:
                    p.mul_(torch.rand(p.shape, generator=self.g) < 0.5)
                if self._pick(5) == 0:
                    p.neg_().abs_().neg_()  # dead neurons
            for name, buffer in self.named_buffers():
                if name.endswith("running_mean"):
                    buffer.copy_(torch.randn(buffer.shape, generator=self.g))
                if name.endswith("running_var"):
                    buffer.copy_(torch.rand(buffer.shape, generator=self.g) * 2 + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        z = x
        for name in self.plan:
            z = self.block(name, z)
        out: Tensor = self.layers["last"](z.flatten(1))
        return out
