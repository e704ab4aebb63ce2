"""How fast a model is on this machine: it shapes forecasts, never results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from holdfast.core.kinds import Model
from holdfast.core.margin import logits
from holdfast.core.quiet import quiet
from holdfast.core.records import Subject
from holdfast.run.bends import bends
from holdfast.run.load import clock

TRIES = 3  # of each kind of pass, and more for so many seconds, fewer behind so many
LOOK, LONG = 0.1, 1.0
BACK = 3.0  # passes that a forward and a backward pass count as where nobody can time them
LEAST = 1e-9


class Speed(NamedTuple):
    """What a row costs in a batch.

    Args:
        forward: seconds of a row through the model.
        slopes: seconds of a row through the model and back to its input.
        bends: on that way, as `run.bends` counts them.
    """

    forward: float = LEAST
    slopes: float = BACK * LEAST
    bends: float = 0.0


def timed(subject: Subject) -> Speed:
    """Seconds of a row forward, and forward and back: what is typical of several passes of a batch.

    A way back is no fixed multiple of the way there: a small convolution with strides takes ten
    times as long, a matrix twice. Time in which others had the processor does not count: that is
    the load, not the model.

    Cost: three passes of each kind of a batch, more of them for a tenth of a second, and
    fewer where they take longer than a second.
    """
    if subject.model is None or subject.batches is None or not len(subject.batches):
        return Speed(1e-6, BACK * 1e-6)
    batch: Any = next(iter(subject.batches))
    model, count = subject.model, max(len(batch.y), 1)
    with quiet(model):
        forward = max(_tried(lambda: _there(model, batch.x)) / count, LEAST)
        slopes, found = BACK * forward, 0
        with suppress(Exception):  # whatever prevents slopes, a check will say it
            _back(model, batch.x[:1])
            slopes = _tried(lambda: _back(model, batch.x)) / count
            found = bends(model, batch.x[:1])
    return Speed(forward, max(slopes, forward), found)


def typical(took: Sequence[float]) -> float:
    """The time that a quarter of the tries stayed below.

    The fastest of them had the machine to itself, which work that takes minutes has not; the
    slower half was disturbed.
    """
    return sorted(took)[len(took) // 4]


def _tried(work: Callable[[], object]) -> float:
    """Seconds of work that is tried several times."""
    took: list[float] = []
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < LOOK or (len(took) < TRIES and spent < LONG):
        start = clock()
        work()
        took.append(clock() - start)
    return typical(took)


def _there(model: Model, x: Any) -> Any:
    with torch.no_grad():
        return _awaited(model(x))


def _back(model: Model, x: Tensor) -> Any:
    start = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = logits(model(start)).sum()
    return _awaited(torch.autograd.grad(total, start))


def _awaited(out: Any) -> Any:
    """One number of what came out: a device must have finished before it can be told."""
    first = out[0] if isinstance(out, tuple) and out else out
    return first.reshape(-1)[:1].cpu() if isinstance(first, Tensor) else first
