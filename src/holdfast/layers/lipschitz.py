"""Layers whose Euclidean Lipschitz constant is known or easily bounded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.ranges import inside


class MinMax(nn.Module):
    """Sorts channels in pairs: the first half becomes the maxima, the second half the minima.

    A permutation of each input, so norms of values and of gradients are kept exactly: unlike
    ReLU it loses nothing of what a 1-Lipschitz layer may pass on.

    Raises:
        ShapeError: for an odd number of channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same shape."""
        if x.dim() < 2 or x.shape[1] % 2:
            raise ShapeError(
                f"MinMax: pairs channels, got {tuple(x.shape)}", fix="Use an even number."
            )
        a, b = x.chunk(2, 1)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


class Residual(nn.Module):
    """`x + inner(x)`: its constant is bounded by one plus that of the inner layers.

    Args:
        inner: layers that keep the shape.
    """

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, ...)` to the same shape."""
        moved: Tensor = self.inner(x)
        return x + moved


class LinearResidual(nn.Module):
    """`x + s g * (W x) + b`: a residual sum without anything nonlinear inside.

    It is one convolution, with the identity added to its kernel, so that its Lipschitz constant
    is one spectral norm instead of one plus that of the branch.

    Args:
        channels: of inputs and outputs.
        depth: number of such blocks in the network; s is its square root's inverse.
        kernel: odd side.

    Raises:
        ConfigError: for an even kernel.
    """

    def __init__(self, channels: int, *, depth: int = 1, kernel: int = 3) -> None:
        super().__init__()
        inside("[1, inf]", "LinearResidual", depth=depth)
        if kernel % 2 == 0:
            raise ConfigError(
                f"LinearResidual: kernel must be odd, got {kernel}", fix="Give kernel=3."
            )
        spread = kernel**2 * channels
        self.branch = nn.Parameter(torch.randn(channels, channels, kernel, kernel) / spread)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.share = depth**-0.5
        identity = torch.zeros(channels, channels, kernel, kernel)
        identity[torch.arange(channels), torch.arange(channels), kernel // 2, kernel // 2] = 1
        self.register_buffer("identity", identity)

    @property
    def weight(self) -> Tensor:
        """The kernel of the one convolution that the block is."""
        gain = self.share * self.gain[:, None, None, None]
        kernel: Tensor = self.identity + gain * self.branch
        return kernel

    @property
    def padding(self) -> int:
        """Zeros on each side that keep the size."""
        return int(self.branch.shape[-1]) // 2

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to the same shape."""
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class Orthogonal(nn.Linear):
    """A linear layer whose rows are made orthonormal: its constant is at most one.

    With `L L^T = M M^T + ridge I` the weight is `L^-1 M`. Its singular values are
    `s / sqrt(s^2 + ridge)`, all below one, and near one where M is well conditioned. Needs no more
    outputs than inputs; with more, the columns are made orthonormal instead.

    Args:
        inputs: number of them.
        outputs: number of them.
        ridge: as a share of the mean diagonal of the Gram matrix.
    """

    def __init__(self, inputs: int, outputs: int, *, ridge: float = 1e-3) -> None:
        super().__init__(inputs, outputs)
        self.ridge = ridge

    @property
    def matrix(self) -> Tensor:
        """The weight that is multiplied with."""
        m = self.weight if self.out_features <= self.in_features else self.weight.T
        gram = m @ m.T
        eye = torch.eye(len(gram), dtype=m.dtype, device=m.device)
        factor = torch.linalg.cholesky(gram + self.ridge * gram.diagonal().mean() * eye)
        found: Tensor = torch.linalg.solve_triangular(factor, m, upper=False)
        return found if self.out_features <= self.in_features else found.T

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, outputs)`."""
        return F.linear(x, self.matrix, self.bias)


class UnitRows(nn.Linear):
    """A last layer whose rows have length one, so that no class can buy its margin by scale."""

    @property
    def matrix(self) -> Tensor:
        """The weight that is multiplied with."""
        return F.normalize(self.weight, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, classes)`."""
        return F.linear(x, self.matrix, self.bias)


def liresnet(
    classes: int, *, inputs: int = 3, width: int = 64, depth: int = 6, size: int = 32,
    neck: int = 64,
) -> nn.Sequential:  # fmt: skip
    """A LiResNet: linear residual blocks between MinMax, an orthogonal neck, rows of length one.

    A stem of stride 2, `depth` blocks at half the size, a convolution of stride 4 (2 below 8
    pixels), an orthogonal dense layer and the head. Every layer is one linear map or a MinMax,
    so that the constant of the network is a product of spectral norms.

    Unlike the paper: no centring of the branches, and the neck's convolution is bounded like any
    other instead of being made orthogonal.

    Args:
        classes: number of logits.
        inputs: channels.
        width: channels of the blocks, even.
        depth: number of blocks.
        size: side of the images, a multiple of 4.
        neck: outputs of the dense layer, even.

    Raises:
        ConfigError: for odd widths or a size that cannot be halved.
    """
    if width % 2 or neck % 2 or size % 4 or depth < 1:
        raise ConfigError(
            "liresnet: needs even width and neck, and a size divisible by 4, got "
            f"{width}, {neck} and {size}, depth {depth}",
            fix="Give width=64, neck=64, size=32 and depth=6, or multiples.",
        )
    half = size // 2
    step = 4 if half % 4 == 0 and half > 4 else 2
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks += [LinearResidual(width, depth=depth), MinMax()]
    flat = width * (half // step) ** 2
    return nn.Sequential(
        nn.Conv2d(inputs, width, 5, stride=2, padding=2), MinMax(), *blocks,
        nn.Conv2d(width, width, step, stride=step), MinMax(), nn.Flatten(),
        Orthogonal(flat, neck), MinMax(), UnitRows(neck, classes),
    )  # fmt: skip
