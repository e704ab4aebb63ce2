"""Sharpness-aware minimisation around any optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later


@register(
    "optimizer", cites="sam", name="sam", says="Step with the gradient at the worst weights nearby."
)
class SAM(Optimizer):
    """SAM: step with the gradient taken at the worst weights within a small distance.

    To first order the worst weights within `radius` lie along the gradient g, at
    `w + radius * g / |g|`, with the norm over all weights together. The closure is evaluated
    there, the weights are put back bit for bit, and the base takes its own step, with its own
    momentum and decay, with that gradient. At radius 0 it is the base. A gradient that is zero
    or not finite moves nothing. Schedulers may wrap it: groups are shared with the base.

    While the first evaluation runs, `probing` is True: whoever cuts or counts gradients leaves
    that one alone, and what an attack found in it serves the second one too (`run/second_look.py`).

    Cost per step: two evaluations of the closure; one copy of the weights.

    Args:
        params: what is trained.
        base: makes the optimizer that takes the step: a `Later`, its name, or a table with its
            name as `use`.
        radius: how far the worst weights may lie, in the unit of the weights.
        adaptive: measure each weight's move in units of its size.

    Raises:
        ConfigError: for a negative radius, or a step without a closure.
    """

    probing = False

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        base: Later | Mapping[str, Any] | str = Later("torch:SGD", lr=0.1, momentum=0.9),  # noqa: B008
        radius: float = 0.05,
        adaptive: bool = False,
    ) -> None:
        if not radius >= 0:
            raise ConfigError(f"SAM: radius must be at least 0, got {radius}", fix="Use 0.05.")
        self.radius, self.adaptive = radius, adaptive
        self.base: Optimizer = _later(base)(params)
        super().__init__(self.base.param_groups, {})
        self.param_groups = self.base.param_groups
        self.state, self.defaults = self.base.state, self.base.defaults

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Evaluate the closure twice and let the base step; returns the first loss."""
        if closure is None:
            raise ConfigError("SAM: step needs a closure", fix="Call optimizer.step(closure).")
        self.probing = twice = self._looks_twice()
        try:
            with torch.enable_grad():
                loss = closure()
        finally:
            self.probing = False
        if not twice:
            self.base.step(_kept(loss))
            return loss
        moved = self._climb()
        try:
            with torch.enable_grad():
                closure()
        except BaseException:
            _put_back(moved)
            raise
        self._land(moved, _kept(loss))
        return loss

    def _looks_twice(self) -> bool:
        """Whether this step looks at other weights than its own."""
        return self.radius > 0

    def _land(self, moved: list[tuple[nn.Parameter, Tensor]], loss: Callable[[], float]) -> None:
        """Put the weights back and let the base step with the gradient of the worst ones."""
        _put_back(moved)
        self.base.step(loss)

    @torch.no_grad()
    def _climb(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Move to the worst weights; returns what was moved, with its former values."""
        groups = self.param_groups
        trained = [p for group in groups for p in group["params"] if p.grad is not None]
        slopes = [p.grad * (p.abs() if self.adaptive else 1) for p in trained]
        if not slopes:
            return []
        length = torch.stack([s.norm().to(slopes[0]) for s in slopes]).norm()
        scale = torch.where(length > 0, self.radius / length, 0.0).nan_to_num(0.0, 0.0, 0.0)
        moved = [(p, p.clone()) for p in trained]
        for p, slope in zip(trained, slopes, strict=True):
            stretch = p.abs() if self.adaptive else 1
            p.add_((slope * stretch * scale.to(slope)).nan_to_num(0.0, 0.0, 0.0))
        return moved

    def state_dict(self) -> dict[str, Any]:
        """The state of the base, which is all there is."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.base.load_state_dict(state_dict)
        self.param_groups, self.state = self.base.param_groups, self.base.state


@torch.no_grad()
def _put_back(moved: list[tuple[nn.Parameter, Tensor]]) -> None:
    for p, before in moved:
        p.copy_(before)


def _later(base: Later | Mapping[str, Any] | str) -> Later:
    if isinstance(base, Later):
        return base
    if isinstance(base, str):
        return Later(base)
    settings = dict(base)
    return Later(settings.pop("use", "torch:SGD"), **settings)


def _kept(loss: float) -> Callable[[], float]:
    """A closure for the base that evaluates nothing: the gradient is already there."""
    return lambda: loss
