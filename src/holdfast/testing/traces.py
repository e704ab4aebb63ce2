"""Whether a call leaves a trace: everything that must be bit-identical before and after."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from holdfast.core.digest import digest
from holdfast.core.quiet import HOOKS
from holdfast.testing.laws import LawBroken


def state_of(*models: nn.Module) -> dict[str, Any]:
    """Digests of weights, gradients, flags, modes, buffers, hooks, types, places and draws."""
    found: dict[str, Any] = {
        "the random state of torch": digest(torch.get_rng_state()),
        "the random state of NumPy": digest(list(np.random.get_state())),
        "the random state of Python": digest(random.getstate()),
        "whether torch records gradients": torch.is_grad_enabled(),
        "the default type": torch.get_default_dtype(),
    }
    for number, model in enumerate(models):
        parts = dict(model.named_modules())
        weights = dict(model.named_parameters())
        buffers = dict(model.named_buffers())
        own = {
            "weights": digest({n: p.detach() for n, p in weights.items()}),
            "which objects its weights are": {n: id(p) for n, p in weights.items()},
            "gradients": digest({n: p.grad for n, p in weights.items()}),
            "requires_grad": {n: p.requires_grad for n, p in weights.items()},
            "buffers": digest(buffers),
            "which objects its buffers are": {n: id(b) for n, b in buffers.items()},
            "devices": {n: str(p.device) for n, p in {**weights, **buffers}.items()},
            "modes": {n: m.training for n, m in parts.items()},
            "classes": {n: type(m) for n, m in parts.items()},
            "hooks": {n: [list(getattr(m, h).values()) for h in HOOKS] for n, m in parts.items()},
        }
        found |= {f"{what} of model {number}": value for what, value in own.items()}
    return found


@contextmanager
def no_trace(who: object, *models: nn.Module) -> Iterator[None]:
    """Raise where a block changes anything about models or global states, even if it raises.

    Raises:
        LawBroken: naming what has changed.
    """
    before = state_of(*models)
    try:
        yield
    finally:
        after = state_of(*models)
        changed = [what for what, value in before.items() if after[what] != value]
        if changed:
            raise LawBroken(f"{who!r} changes {changed[0]}")


def stopped_anywhere(
    who: object,
    model: nn.Module,
    call: Callable[[nn.Module], object],
    calls: Iterable[int] = (0, 1),
) -> None:
    """Stop a call at several passes of its model, as by Ctrl-C, and look for traces each time.

    Args:
        who: what is called, for the message.
        model: what it is called with.
        call: takes the model.
        calls: number of the pass that does not return, one after the other.

    Raises:
        LawBroken: naming what has changed.
    """
    for at in calls:
        fragile = Interrupted(model, at)
        with suppress(KeyboardInterrupt), no_trace(f"{who!r}, stopped,", fragile):
            call(fragile)


class Interrupted(nn.Module):
    """A model whose forward pass is stopped at some call, as by Ctrl-C.

    Args:
        inner: the model itself.
        at: number of the call that does not return.
        error: what is raised there.
    """

    def __init__(
        self, inner: nn.Module, at: int, error: Callable[[], BaseException] = KeyboardInterrupt
    ) -> None:
        super().__init__()
        self.inner, self.at, self.error, self.calls = inner, at, error, 0

    def forward(self, x: Any) -> Any:
        """The model, or the interruption."""
        self.calls += 1
        if self.calls > self.at:
            raise self.error()
        return self.inner(x)
