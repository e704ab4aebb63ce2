"""Views of a model that give an attack slopes to climb; success is judged on the model itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of

ALIKE = 0.5  # correlation from which the input of a module counts as that of the model


@dataclass(eq=False)
class Evaluated:
    """The model in evaluation mode: no dropout, batch statistics as learned."""

    model: Any

    def __call__(self, x: Tensor) -> Tensor:
        parts = [p for m in modules_of(self.model) for p in m.modules() if p.training]
        try:
            for part in parts:
                part.training = False
            return logits(self.model(x))
        finally:
            for part in parts:
                part.training = True


@dataclass(eq=False)
class Mean:
    """Mean output over seeded repeats (expectation over noise), and over jittered inputs.

    Repeat i draws from seed + i, so a call on the same rows gives the same answer. With a jitter
    it is the model averaged over a small Gaussian cloud: smooth where the model jumps.

    Args:
        model: what is averaged.
        repeats: calls per answer.
        seed: of the first repeat.
        jitter: deviation of the noise added to the inputs.
    """

    model: Model
    repeats: int = 16
    seed: int = 0
    jitter: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        total = None
        devices = [x.device.index or 0] if x.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            for number in range(self.repeats):
                torch.manual_seed(self.seed + number)
                near = x + self.jitter * torch.randn_like(x) if self.jitter else x
                z = logits(self.model(near))
                total = z if total is None else total + z
        if total is None:
            raise RuntimeError("a mean of no repeats")
        return total / self.repeats


@dataclass(eq=False)
class LogOdds:
    """Logits back from probabilities, in float64, where tiny ones have not yet become zero."""

    model: Any

    def __call__(self, x: Tensor) -> Tensor:
        if modules_of(self.model):
            with _doubled(self.model):
                p = logits(self.model(x.double()))
        else:
            p = logits(self.model(x)).double()
        return p.clamp(min=torch.finfo(torch.float64).tiny).log()


@contextmanager
def _doubled(model: Any) -> Iterator[None]:
    """Weights and buffers in float64 while a model is called."""
    parts = [p for m in modules_of(model) for p in m.modules()]
    tables: list[dict[str, Any]] = [d for p in parts for d in (p._parameters, p._buffers)]
    kept = [(values, dict(values)) for values in tables]
    try:
        for values, before in kept:
            for name, value in before.items():
                if value is not None and value.is_floating_point():
                    values[name] = value.detach().double()
        yield
    finally:
        for values, before in kept:
            values.update(before)


@dataclass(eq=False)
class Inner:
    """The innermost module that turns inputs into logits, with slopes straight through the rest.

    Whatever a wrapper does before that module counts as the identity on the way back, and
    whatever it does behind it is left out: rounding, coding, cutting the graph, clipping,
    squashing. The input that reaches the module is the true one, unless it is asked `alone`: what
    a wrapper does may run against an attack, and whoever fools the module often fools both.

    Args:
        model: anything that is made of modules.
        alone: whether the module is given the input itself, past the wrapper.
    """

    model: Any
    alone: bool = False

    def reach(self, x: Tensor) -> bool:
        """Whether there is such a module."""
        with torch.no_grad():
            return self._last(x) is not None

    def changed(self, x: Tensor) -> bool:
        """Whether the wrapper changes the input before it reaches the module."""
        with torch.no_grad():
            seen = self._last(x)
        return seen is not None and not torch.equal(seen[1].flatten(), x.flatten())

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            seen = self._last(x.detach())
        if seen is None:
            return logits(self.model(x))
        module, value = seen
        if self.alone:
            return logits(module(x.reshape(value.shape).to(value)))
        straight = value.detach() + (x - x.detach()).reshape(value.shape).to(value)
        return logits(module(straight))

    def _last(self, x: Tensor) -> tuple[nn.Module, Tensor] | None:
        """The last inner call that took as many numbers as `x` and gave outputs of that form."""
        seen: list[tuple[nn.Module, Tensor, torch.Size]] = []

        def hook(module: nn.Module, args: Any, outputs: Any) -> None:
            if args and isinstance(args[0], Tensor) and args[0].numel() == x.numel():
                given = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
                if isinstance(given, Tensor):
                    seen.append((module, args[0].detach().clone(), given.shape))

        parts = {p for m in modules_of(self.model) for p in m.modules()} - {self.model}
        handles = [p.register_forward_hook(hook) for p in parts]
        try:
            form = logits(self.model(x)).shape
        finally:
            for handle in handles:
                handle.remove()
        near = [(m, v) for m, v, shape in seen if shape == form and _alike(v, x)]
        owners = {m: set(m.modules()) - {m} for m, _ in near if any(True for _ in m.parameters())}
        inner = {m for m, parts in owners.items() if parts.isdisjoint(owners)}
        return next(((m, v) for m, v in reversed(near) if m in inner), None)


def _alike(value: Tensor, x: Tensor) -> bool:
    """Whether a module was given the inputs, or what a wrapper made of them."""
    if len(value) != len(x) or not value.is_floating_point():
        return False
    both = torch.stack([value.flatten().double(), x.flatten().double()])
    both = both - both.mean(1, keepdim=True)
    size = both.square().sum(1).prod().sqrt()
    return bool((both[0] * both[1]).sum() >= ALIKE * size)


@dataclass(eq=False)
class Snapped:
    """The model at the nearest point of the grid on which all unchanged inputs lie."""

    model: Callable[[Tensor], Any]
    levels: int

    def __call__(self, x: Tensor) -> Tensor:
        grid = (x.detach() * self.levels).round() / self.levels
        return logits(self.model(grid + (x - x.detach())))
