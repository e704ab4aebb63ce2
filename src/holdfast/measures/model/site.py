"""One place inside a model: what passes there, and answers with something else put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of


class Site:
    """The features of a layer, and the part of the model behind it.

    Args:
        model: any model that modules are called in.
        layer: name of a module whose output is meant; empty for the last map with more than one
            place that a module puts out, or where there is none, for what enters the last
            linear layer.
        x: a row or more to look the layer up with.

    Raises:
        ConfigError: if the model has no module of that name.
        Unsupported: if there is neither a map nor a linear layer.
    """

    def __init__(self, model: Model, layer: str, x: Tensor) -> None:
        self.model = model
        named = {n: m for part in modules_of(model) for n, m in part.named_modules()}
        self.enters = False
        if layer:
            if layer not in named:
                names = ", ".join(n for n in named if n)
                raise ConfigError(f"no module {layer!r}", fix=f"It has: {names:.200}.")
            self.module = named[layer]
        else:
            self.module, self.enters = _last(model, list(named.values()), x[:1])

    @contextmanager
    def watched(self) -> Iterator[list[Tensor]]:
        """Collect what passes the site while a block runs."""
        seen: list[Tensor] = []

        def before(module: nn.Module, given: tuple[Any, ...]) -> None:
            seen.append(given[0])

        def after(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            seen.append(out)

        with self._hooked(before if self.enters else after):
            yield seen

    @contextmanager
    def _hooked(self, hook: Callable[..., Any]) -> Iterator[None]:
        add = self.module.register_forward_pre_hook
        handle = add(hook) if self.enters else self.module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What passes the site, and the logits made of it. Cost: one forward pass."""
        with self.watched() as seen:
            z = logits(self.model(x))
        return once(seen, len(x)), z

    def head(self, x: Tensor, features: Tensor) -> Tensor:
        """Logits with these features put at the site. Cost: one forward pass."""

        def before(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (features, *given[1:])

        def after(module: nn.Module, given: tuple[Any, ...], out: Any) -> Tensor:
            return features

        with self._hooked(before if self.enters else after):
            return logits(self.model(x))


def once(seen: list[Tensor], rows: int) -> Tensor:
    """The only thing that has passed a site.

    Raises:
        Unsupported: if it was not passed exactly once, by one tensor with these rows.
    """
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or len(seen[0]) != rows:
        raise Unsupported(
            f"the layer must put out one tensor of {rows} rows for one input, got "
            f"{len(seen)} outputs",
            fix="Name a layer that runs once per input and returns one tensor.",
        )
    return seen[0]


def _last(model: Model, modules: list[nn.Module], x: Tensor) -> tuple[nn.Module, bool]:
    """The default site: a module, and whether its input is meant."""
    maps: list[nn.Module] = []
    flat: list[nn.Module] = []

    def after(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        if isinstance(out, Tensor) and out.dim() == 4 and out[0, 0].numel() > 1:
            maps.append(module)
        if isinstance(module, nn.Linear):
            flat.append(module)

    hooks = [m.register_forward_hook(after) for m in modules if not list(m.children())]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    if maps:
        return maps[-1], False
    if flat:
        return flat[-1], True
    raise Unsupported("the model has neither feature maps nor a linear layer", fix="Name a layer.")
