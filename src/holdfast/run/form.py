"""The form in which a model is trained: order of memory, compiled or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError

IMAGES = 4  # axes of a batch of images


@contextmanager
def form(model: nn.Module, channels_last: bool, backend: str) -> Iterator[None]:
    """Give a model another form for a while; values and names of its weights stay the same.

    Args:
        model: changed in place, and as before at the end.
        channels_last: whether kernels of convolutions lie with their channels last.
        backend: of `torch.compile`; empty leaves the model as it is.

    Raises:
        ConfigError: for a backend that torch does not have.
    """
    if backend:
        known = torch.compiler.list_backends(exclude_tags=())
        if backend not in known:
            raise ConfigError(
                f"training: torch.compile has no backend {backend!r}",
                fix=f"It has: {', '.join(known)}.",
            )
    before = getattr(model, "_compiled_call_impl", None)
    lay = channels_last and all(p.is_contiguous() for p in model.parameters())
    try:
        if lay:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if backend:
            model.compile(backend=backend)
        yield
    finally:
        if backend:
            model._compiled_call_impl = before
        if lay:
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def laid(batch: Batch) -> Batch:
    """A batch whose images lie with their channels last; other inputs as they are."""
    if not isinstance(batch.x, Tensor) or batch.x.dim() != IMAGES:
        return batch
    return batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
