"""Laws of rewrites: a new model, the old one untouched, and what was promised is reached."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.compress.sites import sites
from holdfast.core.data import Batches
from holdfast.core.digest import digest
from holdfast.core.kinds import Rewrite
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace


def _world() -> tuple[nn.Module, Batches]:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
        ).double()
    g = torch.Generator().manual_seed(2)
    x = torch.rand(8, 1, 6, 6, generator=g, dtype=torch.float64)
    return model.train(), Batches(x=x, y=torch.arange(8) % 3, size=4)


def law_leaves_the_given_model(rewrite: Rewrite) -> None:
    """Weights, buffers, modes and flags of the given model are as before, and not shared."""
    model, data = _world()
    before = digest(model)
    with no_trace(rewrite, model):
        new = rewrite(model, data)
    with torch.no_grad():
        for p in new.parameters():
            p.add_(1.0)
    if new is model or digest(model) != before:
        raise LawBroken(f"{rewrite}: changes the given model or shares its memory")
    if not model.training or any(p.grad is not None for p in model.parameters()):
        raise LawBroken(f"{rewrite}: leaves modes or gradients changed")


def law_same_interface(rewrite: Rewrite) -> None:
    """The new model takes the same inputs and gives finite outputs of the same shape and type."""
    model, data = _world()
    new = rewrite(model, data).eval()
    with torch.no_grad():
        old_out, out = model.eval()(data.x), new(data.x)
    if out.shape != old_out.shape or out.dtype != old_out.dtype:
        raise LawBroken(f"{rewrite}: outputs change shape or type")
    if not bool(out.isfinite().all()):
        raise LawBroken(f"{rewrite}: outputs are not finite")


def law_same_dice_same_model(rewrite: Rewrite) -> None:
    """Twice the same, with the global random state as found."""
    model, data = _world()
    state = torch.get_rng_state()
    if digest(rewrite(model, data)) != digest(rewrite(model, data)):
        raise LawBroken(f"{rewrite}: two calls give two models")
    if not torch.equal(state, torch.get_rng_state()):
        raise LawBroken(f"{rewrite}: changes the global random state")


def law_density_is_reached(rewrite: Rewrite) -> None:
    """With a `density`, no larger share of the weights is left (rounded up per row)."""
    density = getattr(rewrite, "density", None)
    if density is None:
        return
    model, data = _world()
    weights = list(sites(rewrite(model, data)).values())
    left = sum(int((w != 0).sum()) for w in weights)
    slack = sum(len(w) for w in weights)
    if left > density * sum(w.numel() for w in weights) + slack:
        raise LawBroken(f"{rewrite}: {left} weights are left")


def law_bits_are_reached(rewrite: Rewrite) -> None:
    """With `bits`, a row holds at most 2^bits values in each of its groups."""
    bits = getattr(rewrite, "bits", None)
    if bits is None:
        return
    model, data = _world()
    for w in sites(rewrite(model, data)).values():
        groups = -(-w[0].numel() // (getattr(rewrite, "group", 0) or w[0].numel()))
        if any(_values(row) > groups * 2**bits for row in w):
            raise LawBroken(f"{rewrite}: a row holds more than 2^{bits} values")


def _values(row: Tensor) -> int:
    return len(row.detach().unique())
