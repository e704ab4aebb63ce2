"""Models that one has, as one model: read, fused, looked through, and left as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet


def fused(sources: Sequence[Model], fuse: str) -> Callable[[Tensor], Tensor]:
    """Several models as one: logarithms of mean probabilities for `probs`, mean logits else."""

    def one(z: Tensor) -> Tensor:
        outputs = [logits(source(z)) for source in sources]
        if len(outputs) == 1:
            return outputs[0]
        if fuse == "probs":
            return torch.stack(outputs).log_softmax(-1).logsumexp(0)
        return torch.stack(outputs).mean(0)

    return one


def through(model: Model, view: Callable[[Tensor], Tensor]) -> Model:
    """The model behind a change of its inputs."""
    return lambda z: model(view(z))


@contextmanager
def still(models: Sequence[Model]) -> Iterator[None]:
    """Surrogates in evaluation mode; afterwards they are as they were."""
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(quiet(model))
            if isinstance(model, nn.Module):
                model.eval()
        yield


def read(sources: Sequence[Model], x: Tensor) -> None:
    """Raise where a surrogate cannot take inputs of this form."""
    for number, source in enumerate(sources):
        try:
            with torch.no_grad():
                source(x)
        except RuntimeError as error:
            raise Unsupported(
                f"surrogate {number} cannot read inputs of shape {tuple(x.shape[1:])}: {error}",
                fix="Give surrogates of the same task as the model under attack.",
            ) from error
