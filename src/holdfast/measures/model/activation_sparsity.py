"""How few units of a layer answer to each input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.inputs import some_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.core.records import Reading
from holdfast.run.reading import average


@dataclass(frozen=True, eq=False)
class ActivationSparsity:
    """What was active in each layer.

    Args:
        active: layer -> `(rows,)` share of its units that answer, mean over the row's tokens.
        usage: layer -> `(units,)` share of the tokens that each unit answers to.
        alpha: of the intervals.
        seed: of the bootstrap.
        name: prefix of the readings.
    """

    active: dict[str, Tensor]
    usage: dict[str, Tensor]
    alpha: float
    seed: int
    name: str

    def always(self, layer: str, share: float = 0.99) -> Tensor:
        """Positions of the units that answer to at least this share of the tokens."""
        return (self.usage[layer] >= share).nonzero().flatten()

    def saved(self, layer: str) -> float:
        """Share of the multiplications behind the layer that only multiply zeros."""
        return 1 - float(self.active[layer].mean())

    def readings(self) -> tuple[Reading, ...]:
        """The mean share per layer, and over all of them."""
        each = {f"{self.name}.{k}": v for k, v in self.active.items()}
        whole = torch.stack(list(self.active.values())).mean(0)
        return tuple(
            average(name, values, better="lower", alpha=self.alpha, seed=self.seed)
            for name, values in ({self.name: whole} | each).items()
        )


@contextmanager
def watched(layers: dict[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """What layers put out while a block runs."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str) -> Any:
        def after(module: nn.Module, given: Any, out: Any) -> None:
            if isinstance(out, Tensor):
                seen[name].append(out.detach())

        return after

    handles = [m.register_forward_hook(keep(n)) for n, m in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def chosen(model: Model, layers: tuple[str, ...]) -> dict[str, nn.Module]:
    """The layers of these names, or all that rectify.

    Raises:
        ConfigError: if there is none of a name.
        Unsupported: if nothing rectifies and no layer is named.
    """
    named = {n: m for part in modules_of(model) for n, m in part.named_modules()}
    if lost := [n for n in layers if n not in named]:
        raise ConfigError(f"no module {lost[0]!r}", fix=f"It has: {', '.join(named):.200}.")
    kinds = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU)
    found = {n: m for n, m in named.items() if n in layers or (not layers and isinstance(m, kinds))}
    if not found:
        raise Unsupported("no layer of the model rectifies", fix='Name one: layers=("mlp.1",).')
    return found


@register("measure", cites="lazy-neuron", says="Share of the units that answer to an input.")
def activation_sparsity(
    model: Model,
    batches: Batches,
    *,
    layers: tuple[str, ...] = (),
    threshold: float = 0.0,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "active",
) -> ActivationSparsity:
    """The share of the units behind a rectifier that are not zero, per row.

    At random weights about half of them are; training makes them few, whatever it trains on.
    Units of a map `(B, C, H, W)` are its channels, of anything else the last dimension; every
    place or token counts alike. A layer that is called several times counts all its calls.

    Args:
        model: any model with modules that rectify.
        batches: rows to look at.
        layers: names of modules; without any all of ReLU, GELU and SiLU.
        threshold: absolute value above which a unit answers; above 0 for smooth rectifiers.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        Unsupported: if there is nothing to look at.
        ShapeError: without rows.

    Cost: one forward per row.
    """
    places = chosen(model, layers)
    some_rows(batches, name)
    rows: dict[str, list[Tensor]] = {n: [] for n in places}
    counts: dict[str, list[Tensor]] = {n: [] for n in places}
    with quiet(model), torch.no_grad():
        for m in modules_of(model):
            m.eval()
        for batch in batches:
            with watched(places) as seen:
                model(batch.x)
            for layer, outs in seen.items():
                if outs:
                    on = torch.cat([_tokens(o, threshold) for o in outs], 1).double()
                    rows[layer].append(on.mean((1, 2)).cpu())
                    counts[layer].append(on.mean(1).cpu())
    active = {n: torch.cat(v) for n, v in rows.items() if v}
    usage = {n: torch.cat(counts[n]).mean(0) for n in active}
    if not active:
        raise Unsupported(
            f"{name}: the model has no layer that is active, or was not called",
            fix='Name layers that the model runs, such as layers=("fc1",).',
        )
    return ActivationSparsity(active, usage, alpha, seed, name)


def _tokens(out: Tensor, threshold: float) -> Tensor:
    """`(B, tokens, units)` bool: which units answer where."""
    on = out.abs() > threshold
    map_dims = 4
    if on.dim() == map_dims:
        on = on.movedim(1, 3)
    return on.reshape(len(on), -1, on.shape[-1])
