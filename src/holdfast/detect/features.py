"""What a model makes of its inputs just before it answers: one vector per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.ops.batch import Inputs

LAST = "penultimate"  # what goes into the last linear layer that is called
ANSWER = "logits"


def features(model: Model, x: Inputs, layer: str = LAST) -> Tensor:
    """`(B, D)` features of each row, float64; maps and tokens are averaged over their places.

    Args:
        model: any model; without a linear layer inside, `penultimate` means its logits.
        x: inputs, rows first.
        layer: `penultimate`, `logits`, or the name of a module whose output is taken.

    Raises:
        ConfigError: if the model has no module of that name.
        Unsupported: if the named module is not called once per input.

    Cost: one forward pass per row.
    """
    if layer == ANSWER:
        with quiet(model):
            return logits(model(x)).flatten(1).double()
    seen: list[Tensor] = []
    with quiet(model), _listening(model, layer, seen):
        out = logits(model(x))
    if layer != LAST and len(seen) != 1:
        raise Unsupported(
            f"module {layer!r} was called {len(seen)} times for one input",
            fix="Name a module that runs once per input, such as the last layer before the head.",
        )
    return _flat(seen[-1] if seen else out, len(out))


def _flat(found: Tensor, rows: int) -> Tensor:
    if len(found) != rows:
        raise Unsupported(
            f"features have {len(found)} rows for {rows} inputs",
            fix="Name a module that returns one tensor, rows first.",
        )
    if found.dim() == 4:  # channels first
        return found.mean((2, 3)).double()
    return (found if found.dim() <= 2 else found.flatten(1, -2).mean(1)).double()


@contextmanager
def _listening(model: Model, layer: str, seen: list[Tensor]) -> Iterator[None]:
    """Collect what passes the layer; every hook is removed again."""

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0])

    def after(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        seen.append(logits(out))

    hooks: list[Any] = []
    found = [(n, m) for part in modules_of(model) for n, m in part.named_modules()]
    if layer == LAST:
        hooks = [m.register_forward_pre_hook(before) for _, m in found if isinstance(m, nn.Linear)]
    else:
        hooks = [m.register_forward_hook(after) for n, m in found if n == layer]
        if not hooks:
            names = ", ".join(n for n, _ in found if n)
            raise ConfigError(f"the model has no module {layer!r}", fix=f"It has: {names:.200}.")
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def trusted_features(model: Model, trusted: Batches, layer: str) -> tuple[Tensor, Tensor]:
    """Features `(n, D)` and labels `(n,)` of all trusted rows; rows with non-finite ones go."""
    with torch.no_grad():
        parts = [(features(model, b.x, layer), b.y) for b in trusted]
    if not parts:
        raise Unsupported("a detector needs trusted rows to learn from", fix="Pass --reference.")
    found = torch.cat([p[0] for p in parts])
    labels = torch.cat([p[1] for p in parts]).to(found.device)
    good = found.isfinite().all(1)
    if not bool(good.any()):
        raise Unsupported(
            "no trusted row has finite features",
            fix="Give trusted rows without NaN, and a model whose features are finite on them.",
        )
    return found[good], labels[good]


def distrust(score: Tensor) -> Tensor:
    """Scores of one number per row; where they are not numbers, nothing is trusted less."""
    return torch.where(score.isnan(), torch.inf, score)


@dataclass(frozen=True, eq=False)
class Judged:
    """A score of what a model makes of its inputs; rows that are not finite score infinity.

    Args:
        model: whose features are read.
        layer: as of `features`.
        of: `(B, D)` features -> `(B,)`, larger means to trust less.
    """

    model: Model
    layer: str
    of: Callable[[Tensor], Tensor]

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        found = features(self.model, x, self.layer)
        return torch.where(found.isfinite().all(1), distrust(self.of(found)), torch.inf)
