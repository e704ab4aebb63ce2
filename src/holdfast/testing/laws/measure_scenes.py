"""What measures are asked about: a world for each first argument that a measure may have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.measures.model.plane import Plane
from holdfast.measures.text.attention import AttentionHead
from holdfast.testing.laws import LawBroken
from holdfast.testing.worlds import (
    Images,
    Language,
    TinyReLU,
    draws,
    linear_layer,
    mixture,
    two_class,
)


@dataclass(frozen=True)
class Scene:
    """Arguments of a measure.

    Args:
        arguments: what it is called with.
        models: those among them that must stay as they are.
    """

    arguments: tuple[Any, ...]
    models: tuple[nn.Module, ...] = ()


def first_of(method: Any) -> str:
    """The name of the first argument, which says what the measure is about."""
    return next(iter(inspect.signature(method).parameters), "")


def labels(world: TinyReLU) -> Tensor:
    """The world's labels, a fifth of them wrong."""
    other = torch.rand(len(world.y), generator=draws(3)) < 0.2
    return torch.where(other, (world.y + 1) % 3, world.y)


def scene(method: Any, rows: int = 40) -> Scene:
    """The measure's world.

    Raises:
        LawBroken: if there is none for its first argument.
    """
    first = first_of(method)
    if first not in SCENES:
        raise LawBroken(f"a measure of {first!r} has no world yet: add one to {__name__}")
    return SCENES[first](rows)


def asked(method: Any, rows: int = 40) -> Callable[[], Any]:
    """The measure, ready to be asked in its world."""
    given = scene(method, rows).arguments
    return lambda: method(*given)


def _outputs(rows: int) -> Scene:
    world = TinyReLU.make(rows=40)
    with torch.no_grad():
        z = world.model(world.x[:rows])
    return Scene((z, labels(world)[:rows]))


def _model(rows: int) -> Scene:
    world = TinyReLU.make(rows=40)
    batches = Batches(x=world.x[:rows], y=labels(world)[:rows], size=16)
    return Scene((world.model, batches), (world.model,))


def _vision(rows: int) -> Scene:
    """A small convolutional net and its images."""
    world = Images.make(rows=40)
    batches = Batches(x=world.x[:rows], y=world.y[:rows], size=16)
    return Scene((world.model, batches), (world.model,))


def _plane(rows: int) -> Scene:
    """A linear world of two classes, its plane, and labels of which some are wrong."""
    world = two_class(rows=40)
    y = torch.where(torch.arange(40) % 5 == 0, 1 - world.y, world.y)
    batches = Batches(x=world.x[:rows], y=y[:rows], size=16)
    return Scene((Plane.of(world.model, world.x), batches))


def _batches(rows: int) -> Scene:
    return Scene((mixture(rows=40).batches.take(slice(0, rows)),))


def _models(rows: int) -> Scene:
    """A net and another one that is its oracle, on labels that the oracle gave."""
    world, oracle = TinyReLU.make(rows=40), TinyReLU.make(rows=40, seed=1)
    with torch.no_grad():
        y = oracle.model(world.x[:rows]).argmax(1)
    batches = Batches(x=world.x[:rows], y=y, size=16)
    return Scene(((world.model, oracle.model), batches), (world.model, oracle.model))


class Mixed(nn.Module):
    """Four linear experts in the shares of a linear router, the best two of each row."""

    def __init__(self, k: int = 2, seed: int = 0) -> None:
        super().__init__()
        g = draws(seed)
        self.experts = nn.ModuleList(_linear(4, 3, g) for _ in range(4))
        self.router, self.k = _linear(4, 4, g), k

    def routing(self, x: Tensor) -> Tensor:
        """`(B, 4)` shares."""
        best, which = self.router(x).topk(self.k, 1)
        return x.new_zeros(len(x), 4).scatter(1, which, best.softmax(1))

    def combine(self, x: Tensor, shares: Tensor) -> Tensor:
        """Experts in given shares."""
        every = torch.stack([expert(x) for expert in self.experts], 1)
        return (shares[..., None] * every).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(x, self.routing(x))


def _linear(inputs: int, outputs: int, g: torch.Generator) -> nn.Linear:
    weight = torch.randn(outputs, inputs, generator=g, dtype=torch.float64)
    return linear_layer(weight, -weight @ torch.full((inputs,), 0.5, dtype=torch.float64))


def _mixture(rows: int) -> Scene:
    model = Mixed()
    x = 0.3 + 0.4 * torch.rand(40, 4, generator=draws(1), dtype=torch.float64)
    with torch.no_grad():
        y = model(x).argmax(1)
    return Scene((model, Batches(x=x[:rows], y=y[:rows], size=16)), (model,))


def _lm(rows: int) -> Scene:
    """A lookup table for a language model, and random tokens that are wanted next.

    Few rows: before such a model, a search for prompts never ends early.
    """
    rows = min(rows, 3)
    world = Language.make(rows=40)
    x = {"ids": world.ids[:rows], "mask": world.mask[:rows]}
    wanted = torch.randint(7, (40,), generator=draws(2))[:rows]
    return Scene((world.model, Batches(x=x, y=wanted, size=16)), (world.model,))


def _head(rows: int) -> Scene:
    """A random attention head and outputs that are wanted of it."""
    g = draws(0)
    x = torch.randn(40, 3, 4, generator=g, dtype=torch.float64)[:rows]
    target = torch.randn(40, 3, 4, generator=g, dtype=torch.float64)[:rows]
    matrices = torch.randn(3, 4, 4, generator=g, dtype=torch.float64) / 4
    batches = Batches(x=x, y=torch.zeros(rows, dtype=torch.int64), more={"target": target})
    return Scene((AttentionHead(*matrices), batches))


def _answers(rows: int) -> Scene:
    """Two versions of a model and their answers to clean and changed prompts."""
    g = draws(5)
    y = torch.randint(3, (40,), generator=g)
    wrong = {"clean": 0.1, "both": 0.5}
    answers = {
        version: {
            name: torch.where(torch.rand(40, generator=g) < rate, -1, y)[:rows]
            for name, rate in wrong.items()
        }
        for version in ("old", "new")
    }
    return Scene((answers, y[:rows]))


def _sets(rows: int) -> Scene:
    """Random sets of three classes, and labels of which most are in them."""
    g = draws(6)
    y = torch.randint(3, (40,), generator=g)
    sets = (torch.rand(40, 3, generator=g) < 0.4) | nn.functional.one_hot(y, 3).bool()
    sets[::7] = False
    return Scene((sets[:rows], y[:rows]))


def _reconstructor(rows: int) -> Scene:
    """A convolution of images that should give them back."""
    x = Images.make(rows=40).x[:rows]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = nn.Conv2d(1, 1, 3, padding=1).double().eval()
    return Scene((model, Batches(x=x, y=torch.zeros(rows, dtype=torch.int64), size=16)), (model,))


def _domains(rows: int) -> Scene:
    """Two classes of points from two domains that differ in one coordinate."""
    x = torch.rand(40, 3, generator=draws(8), dtype=torch.float64)
    group = torch.arange(40) % 2
    x[:, 0] += 0.7 * group
    y = (torch.arange(40) // 2) % 2
    return Scene((Batches(x=x[:rows], y=y[:rows], size=16, group=group[:rows]),))


def _wrong(rows: int) -> Scene:
    """Which rows are wrong under two corruptions of five levels, and without."""
    g = draws(7)
    wrong = {k: (torch.rand(5, 40, generator=g) < rate)[:, :rows]
             for k, rate in {"fog": 0.4, "snow": 0.6}.items()}  # fmt: skip
    return Scene((wrong, (torch.rand(40, generator=g) < 0.1)[:rows]))


def _films(rows: int) -> Scene:
    """Logits of eight classes along films of six frames, one of them of noise."""
    z = torch.randn(2, 40, 6, 8, generator=draws(8), dtype=torch.float64)
    return Scene(({"fog": z[0, :rows], "shot-noise": z[1, :rows]},))


SCENES: dict[str, Callable[[int], Scene]] = {
    "outputs": _outputs,
    "model": _model,
    "vision": _vision,
    "plane": _plane,
    "batches": _batches,
    "models": _models,
    "mixture": _mixture,
    "lm": _lm,
    "head": _head,
    "answers": _answers,
    "sets": _sets,
    "reconstructor": _reconstructor,
    "domains": _domains,
    "wrong": _wrong,
    "films": _films,
}
