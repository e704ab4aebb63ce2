"""Where a model keeps its matrices."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

from holdfast.core.errors import Unsupported

_KINDS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def sites(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of linear and convolutional layers by name, each tensor once.

    Raises:
        Unsupported: if there are none.
    """
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, module in model.named_modules():
        if isinstance(module, _KINDS) and isinstance(module.weight, nn.Parameter):
            found.setdefault(id(module.weight), (f"{name}.weight".lstrip("."), module.weight))
    if not found:
        raise Unsupported(
            "the model has no linear or convolutional weights", fix="Compress another model."
        )
    return dict(found.values())


def copied(model: nn.Module) -> nn.Module:
    """A copy that shares nothing with the model."""
    return deepcopy(model)


def output_axis(model: nn.Module, weight: nn.Parameter) -> int:
    """The axis of a weight that counts its output units."""
    owner = next(m for m in model.modules() if getattr(m, "weight", None) is weight)
    return 1 if isinstance(owner, _KINDS[4:]) else 0
