"""How steady answers are along films of an image that hardly changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Count
from holdfast.core.records import Reading
from holdfast.run.reading import average

NOISE = "-noise"  # kinds that end so are compared with their first, clean frame


def _pairs(z: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Frames and what each is compared with: the first one for noise, else the one before."""
    if z.dim() != 3 or z.shape[1] < 2 or not len(z):
        raise ShapeError(
            f"films of {kind!r} must be (n, frames, classes), got {tuple(z.shape)}",
            fix="Give films of two frames or more as logits (films, frames, classes).",
        )
    z = z.detach().double()
    after = z[:, 1:]
    return (z[:, :1].expand_as(after) if kind.endswith(NOISE) else z[:, :-1]), after


def _readings(
    name: str,
    rows: Mapping[str, Tensor],
    reference: Mapping[str, float] | None,
    alpha: float,
    seed: int,
) -> tuple[Reading, ...]:
    """Each kind, their mean; with a reference the same in its units."""
    if not rows or len({len(r) for r in rows.values()}) > 1:
        raise ShapeError(
            f"{name}: needs films of the same rows for at least one kind, got "
            f"{[len(r) for r in rows.values()]}",
            fix="Give for every kind as many films, of the same rows.",
        )
    if reference is not None and (bad := [k for k in rows if reference.get(k, 0) <= 0]):
        raise ConfigError(
            f"{name}: no reference above 0 for {bad[0]!r}",
            fix=f"Give reference[{bad[0]!r}], the rate of the model to compare with, or leave "
            "the kind out.",
        )
    scales = [("", "", dict.fromkeys(rows, 1.0))]
    scales += [("rate.", "of the reference", dict(reference))] if reference is not None else []
    found = []
    for prefix, unit, scale in scales:
        own = {k: r / scale[k] for k, r in rows.items()}
        own = {"mean": torch.stack(list(own.values())).mean(0)} | own
        found += [
            average(f"{name}.{prefix}{k}", r, better="lower", unit=unit or "per frame",
                    alpha=alpha, seed=seed)
            for k, r in own.items()
        ]  # fmt: skip
    return tuple(found)


@register("measure", cites="imagenet-c")
def flip_rate(
    films: Mapping[str, Tensor],
    *,
    reference: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "flips",
) -> tuple[Reading, ...]:
    """Flip probability: how often the answer differs from that to the frame before.

    Under noise, whose frames do not follow each other, it is compared with the first, clean
    frame. Divided by that of a reference model it is the flip rate; the mean over kinds is the
    mFR. An output that is not finite counts as a flip.

    Args:
        films: kind (`shifts.sequences`) -> `(n, frames, classes)` logits.
        reference: kind -> flip probability of the reference model; None for plain numbers.
        alpha: intervals cover with probability about 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if there are no films or rows, or they do not fit.
        ConfigError: if the reference lacks a kind.
    """
    rows = {}
    for kind, z in films.items():
        before, after = _pairs(z, kind)
        bad = ~(before.isfinite().all(2) & after.isfinite().all(2))
        rows[kind] = ((before.argmax(2) != after.argmax(2)) | bad).double().mean(1)
    return _readings(name, rows, reference, alpha, seed)


@register("measure", cites="imagenet-c")
def top_distance(
    films: Mapping[str, Tensor],
    *,
    top: Count = 5,
    reference: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "top_distance",
) -> tuple[Reading, ...]:
    """How far the first few classes of the ranking move from frame to frame (T5D).

    For each of the first `top` classes of the frame before, the distance between its old and its
    new rank, where all ranks behind `top` count as `top + 1`. Frames are paired as in
    `flip_rate`; outputs that are not finite rank last.

    Args:
        films: kind (`shifts.sequences`) -> `(n, frames, classes)` logits.
        top: how many classes count.
        reference: kind -> distance of the reference model; None for plain numbers.
        alpha: intervals cover with probability about 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if there are no films or rows, or they do not fit.
        ConfigError: if the reference lacks a kind.
    """
    rows = {}
    for kind, z in films.items():
        before, after = _pairs(z, kind)
        own = torch.arange(1, min(top, z.shape[2]) + 1)
        rank = _ranks(after).gather(2, _order(before)[..., : len(own)])
        off = own.to(rank.device).clamp(max=top + 1) - rank.clamp(max=top + 1)
        rows[kind] = off.abs().sum(2).double().mean(1)
    return _readings(name, rows, reference, alpha, seed)


@register("measure", cites="imagenet-c")
def zipf_distance(
    films: Mapping[str, Tensor],
    *,
    reference: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "zipf_distance",
) -> tuple[Reading, ...]:
    """How far a ranking moves from frame to frame, where a rank i weighs 1 / i.

    Each class of rank i in the frame before and r in the next adds `|1 / i - 1 / r| / i`.

    Args:
        films: kind (`shifts.sequences`) -> `(n, frames, classes)` logits.
        reference: kind -> distance of the reference model; None for plain numbers.
        alpha: intervals cover with probability about 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if there are no films or rows, or they do not fit.
        ConfigError: if the reference lacks a kind.
    """
    rows = {}
    for kind, z in films.items():
        before, after = _pairs(z, kind)
        old, new = 1 / _ranks(before).double(), 1 / _ranks(after).double()
        rows[kind] = (old * (old - new).abs()).sum(2).mean(1)
    return _readings(name, rows, reference, alpha, seed)


def _order(z: Tensor) -> Tensor:
    """Classes by falling logit; of equal ones the first comes first."""
    return torch.nan_to_num(z, nan=-torch.inf).argsort(dim=2, descending=True, stable=True)


def _ranks(z: Tensor) -> Tensor:
    """Rank of each class, from 1."""
    return _order(z).argsort(dim=2) + 1
