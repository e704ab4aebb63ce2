"""Through all modules of a net, as often as a training step has to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn


def within(top: nn.Module) -> list[nn.Module]:
    """A module and all inside it, each once: those of `top.modules()`, in their order.

    Torch names every module on its way, which in a small net takes as long as a layer does; here
    they have no names. They are found anew every time: what is trained may grow on the way.
    """
    found: dict[int, nn.Module] = {}
    left: list[nn.Module | None] = [top]
    while left:
        module = left.pop()
        if module is not None and id(module) not in found:
            found[id(module)] = module
            left.extend(reversed(module._modules.values()))
    return list(found.values())


def without_gradients(modules: Iterable[nn.Module]) -> None:
    """Drop the gradients of the weights that lie in these modules themselves."""
    for module in modules:
        for p in module._parameters.values():
            if p is not None:
                p.grad = None


def those_with(modules: Sequence[nn.Module], name: str) -> list[nn.Module]:
    """The modules that have an attribute, in order.

    A module takes long to say that it has none; its class and its parts are asked instead, and
    the module only if it looks elsewhere too.
    """
    kinds = {type(m) for m in modules}
    open_ = {k for k in kinds if hasattr(k, name) or k.__getattr__ is not nn.Module.__getattr__}
    found = [m for m in modules if type(m) in open_ or name in m.__dict__ or name in m._modules]
    return [m for m in found if hasattr(m, name)]
