"""Holdfast, the robustness workbench for neural networks in PyTorch.

Measure how a model breaks, prove how far it holds, explain why, harden it, shrink it, guard it.
Packages are loaded on first use, so that `import holdfast` stays free of torch.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """Import the package `holdfast.<name>` when it is first asked for."""
    full = f"{__name__}.{name}"
    if not name.startswith("_"):
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:  # the package is there, something that it needs is not
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from pkgutil import iter_modules

    return sorted({*globals(), *(module.name for module in iter_modules(__path__))})
