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
from holdfast.testing.laws.measure_answers import ANSWERS
from holdfast.testing.laws.measure_tables import TABLES
from holdfast.testing.worlds import Experts, Images, Language, TinyReLU, draws, mixture, two_class


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
    tables = TABLES | ANSWERS
    if first in tables:
        return Scene(tables[first](rows))
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


def _mixture(rows: int) -> Scene:
    model = Experts()
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


def _net(rows: int) -> Scene:
    """A small convolutional net, or one without any layer."""
    net = Images.make(rows=4).model if rows else nn.Sequential()
    return Scene((net,), (net,))


def _nets(rows: int) -> Scene:
    """Two convolutional nets, or none."""
    nets = tuple(Images.make(rows=4, seed=k).model for k in range(2)) if rows else ()
    return Scene((nets,), nets)


def _decisions(rows: int) -> Scene:
    """Answers to images whose shape and texture name different classes, or the same."""
    z, shape = _outputs(rows).arguments
    return Scene((z, shape, (shape + torch.arange(rows) % 3) % 3))


def _reconstructor(rows: int) -> Scene:
    """A convolution of images that should give them back."""
    x = Images.make(rows=40).x[:rows]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = nn.Conv2d(1, 1, 3, padding=1).double().eval()
    return Scene((model, Batches(x=x, y=torch.zeros(rows, dtype=torch.int64), size=16)), (model,))


SCENES: dict[str, Callable[[int], Scene]] = {
    "outputs": _outputs,
    "decisions": _decisions,
    "net": _net,
    "nets": _nets,
    "model": _model,
    "vision": _vision,
    "plane": _plane,
    "batches": _batches,
    "models": _models,
    "mixture": _mixture,
    "lm": _lm,
    "head": _head,
    "reconstructor": _reconstructor,
}
