"""A random optical layer: light through a scattering medium, as a layer without a way back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.core.ranges import one_of

Way = Literal["exact", "random", "none"]


def _knowingly(way: Way, masks: bool, who: str) -> None:
    """Raise where gradients would be hidden without the user's word for it.

    Raises:
        ConfigError: for an unknown way, or one that hides gradients without `masks=True`.
    """
    one_of(("exact", "random", "none"), who, backward=way)
    if way != "exact" and not masks:
        raise ConfigError(
            f"{who}: backward={way!r} hides the gradient; attacks that need it then say nothing",
            fix="Say masks=True, and audit exposed(model) beside it.",
        )


class _Sign(torch.autograd.Function):
    """The sign of the centred input; the gradient passes as if it were the centred input."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        return torch.where(u >= u.mean(1, keepdim=True), 1.0, -1.0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (g,) = gradients
        return g - g.mean(1, keepdim=True)


class SignBinarize(nn.Module):
    """Each number of a row becomes 1 or -1: at least, or less than, the row's mean.

    Args:
        backward: `exact` passes the gradient as if nothing but centring happened (what an
            attacker would do); `none` gives none, and then the layers below learn by
            `backward:direct-feedback` only.
        masks: the user's word that `none` is meant.

    Raises:
        ConfigError: for `none` without it.
    """

    def __init__(
        self, *, backward: Literal["exact", "none"] = "exact", masks: bool = False
    ) -> None:
        super().__init__()
        _knowingly(backward, masks, "SignBinarize")
        self.way: Way = backward

    @property
    def feedback(self) -> bool:
        """Whether layers below need a signal from elsewhere."""
        return self.way == "none"

    def forward(self, u: Tensor) -> Tensor:
        """`(B, n)` to `(B, n)` of 1 and -1."""
        found: Tensor = _Sign.apply(u if self.way == "exact" else u.detach())  # type: ignore[no-untyped-call]
        return found


class _Intensity(torch.autograd.Function):
    """|W b|^2 forward, a fixed random matrix backward."""

    @staticmethod
    def forward(ctx: Any, b: Tensor, real: Tensor, imaginary: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return (b @ real.T).square() + (b @ imaginary.T).square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (back,) = ctx.saved_tensors
        return gradients[0] @ back, None, None, None


class RandomOptics(nn.Module):
    """The intensity `|W b|^2` of a random complex projection that nobody need know.

    Args:
        inputs: numbers of a row.
        outputs: intensities of a row.
        backward: `exact` by the chain rule; `random` by another fixed matrix; `none`.
        masks: the user's word that gradients shall be hidden.
        seed: of both matrices; whoever knows it knows W.

    Raises:
        ConfigError: where gradients would be hidden without that word.

    Unlike the paper: W is scaled so that intensities have mean 1 whatever the sizes.
    """

    real: Tensor
    imaginary: Tensor
    back: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, backward: Way = "exact", masks: bool = False,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        _knowingly(backward, masks, "RandomOptics")
        self.way: Way = backward
        g = torch.Generator().manual_seed(seed)
        for name in ("real", "imaginary", "back"):
            drawn = torch.randn(outputs, inputs, generator=g) / (2 * inputs) ** 0.5
            self.register_buffer(name, drawn)

    def forward(self, b: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, outputs)`, not negative."""
        if self.way == "random":
            found: Tensor = _Intensity.apply(b, self.real, self.imaginary, self.back)  # type: ignore[no-untyped-call]
            return found
        b = b if self.way == "exact" else b.detach()
        return (b @ self.real.T).square() + (b @ self.imaginary.T).square()


class OpticalHead(nn.Module):
    """Features to logits by way of a binarised random projection.

    Linear, ReLU, sign, intensity of a random projection, linear. With `backward="exact"` it is an
    ordinary differentiable head; otherwise it masks gradients, which is no robustness: a model
    that holds under attacks through it must be judged by `exposed(model)` and by attacks that
    need no gradient.

    Args:
        inputs: features.
        classes: of the answer.
        hidden: numbers that are binarised.
        intensities: of the projection.
        backward: `exact`, `random` (sign passes, the projection answers with another matrix) or
            `none` (nothing passes the sign; train with `backward:direct-feedback`).
        masks: the user's word that gradients shall be hidden.
        seed: of the projection.

    Raises:
        ConfigError: where gradients would be hidden without that word.
    """

    def __init__(
        self, inputs: int, classes: int, *, hidden: int = 128, intensities: int = 512,
        backward: Way = "exact", masks: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        sign: Literal["exact", "none"] = "none" if backward == "none" else "exact"
        self.sign = SignBinarize(backward=sign, masks=masks)
        self.optics = RandomOptics(hidden, intensities, backward=backward, masks=masks, seed=seed)
        self.last = nn.Linear(intensities, classes)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, classes)`."""
        found: Tensor = self.last(self.optics(self.sign(self.first(x.flatten(1)).relu())))
        return found


def with_way(model: nn.Module, way: Way) -> nn.Module:
    """A copy of a model whose optical layers answer a gradient in another way.

    Args:
        model: with optical layers anywhere; it stays as it is.
        way: `exact`, `random` or `none`; said on purpose, so it needs no further word.
    """
    copy = deepcopy(model)
    for part in copy.modules():
        if isinstance(part, SignBinarize):
            part.way = "none" if way == "none" else "exact"
        elif isinstance(part, RandomOptics):
            part.way = way
    return copy


def exposed(model: nn.Module) -> nn.Module:
    """The same function with true gradients: what an audit of such a model must attack."""
    return with_way(model, "exact")
