"""Copies of a model that can be told apart by the attacks that were made on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import NonNegative
from holdfast.core.goal import Outputs, logits
from holdfast.core.inputs import some_rows
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside


class Tracer(nn.Module):
    """A private net of one hidden layer beside a shared classifier.

    Args:
        inputs: numbers of a row.
        classes: of the classifier.
        width: of the hidden layer.
        seed: what makes it private.
    """

    def __init__(self, inputs: int, classes: int, *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.first = nn.utils.skip_init(nn.Linear, inputs, width)
        self.last = nn.utils.skip_init(nn.Linear, width, classes)
        with torch.no_grad():
            for layer, size in ((self.first, inputs), (self.last, width)):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=g) / size**0.5)
                layer.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """`(B, K)`: what it adds to the classifier's logits."""
        found: Tensor = self.last(torch.relu(self.first(x.flatten(1))))
        return found


class Traced:
    """A copy: the classifier's logits plus those of a private tracer.

    Args:
        base: the shared classifier.
        tracer: the private net; made from the seed at the first call unless given.
        weight: of the tracer; at 0 the copy is the classifier.
        seed: what makes the tracer private.
    """

    def __init__(
        self, base: Model, tracer: nn.Module | None, *, weight: float = 1.0, seed: int = 0
    ) -> None:
        self.base, self.tracer, self.weight, self.seed = base, tracer, weight, seed

    def __call__(self, x: Tensor) -> Outputs:
        """The outputs of the base, its logits moved by the tracer."""
        out = self.base(x)
        if self.weight == 0:
            return out
        z = logits(out)
        moved: Tensor = z + self.weight * self.private(x, z)(x).to(z.dtype)
        if isinstance(out, Tensor):
            return moved
        first: Outputs = (moved, *out[1:])
        made = getattr(type(out), "_make", None)
        return first if made is None else made(first)

    def private(self, x: Tensor, z: Tensor) -> nn.Module:
        """The tracer for inputs and logits of this form."""
        if self.tracer is not None:
            return self.tracer
        made = Tracer(x[:1].numel() if len(x) else x.flatten(1).shape[1], z.shape[-1],
                      seed=self.seed)  # fmt: skip
        return made.to(x).requires_grad_(False)


@register("defence", cites="attack-tracing", says="A private net beside the model tells copies.")
def traced(
    model: Model,
    *,
    weight: NonNegative = 1.0,
    seed: int = 0,
    tracer: nn.Module | None = None,
) -> Traced:
    """Gives each buyer a copy of his own, so that attacks made on it betray which it was.

    All copies share the classifier. Each adds the logits of a small private net, trained
    (`objective:tracer`) to be silent on inputs as they are and to react to small noise in a way
    of its own: an attack on a copy must move its tracer, and moves no other one as much. It
    does not make attacks harder; it tells afterwards where they come from (`trace`).

    Args:
        model: the classifier, shared by all copies.
        weight: of the tracer's logits; 0 is the model itself.
        seed: of an untrained tracer.
        tracer: a trained one.

    Raises:
        ConfigError: for a negative weight.

    Cost: one forward pass of the tracer per row.
    """
    inside("[0, inf)", "traced", weight=weight)
    return Traced(model, tracer, weight=weight, seed=seed)


@dataclass(frozen=True, eq=False)
class Origin:
    """Which copy an attack was made on.

    Args:
        index: the copy with the largest mean score.
        scores: `(copies, B)` by how many standard deviations of rows as they are each tracer
            favours the answer of the attack over the truth.
    """

    index: int
    scores: Tensor


def trace(
    copies: Sequence[Traced],
    x: Tensor,
    answer: Tensor,
    y: Tensor | None = None,
    *,
    trusted: Tensor | None = None,
) -> Origin:
    """Finds the copy that adversarial examples of one attacker were made on.

    Each tracer's score of a row is the difference of its logits between the answer that the
    attack achieved and the true one: the attack pushed the tracer of its own copy towards its
    answer. Scores are compared after those on trusted rows are centred and scaled.

    Args:
        copies: the suspects, each with a tracer.
        x: `(B, ...)` adversarial examples of one attacker.
        answer: `(B,)` the class that they reached.
        y: `(B,)` the true class; the best other one of each tracer unless given.
        trusted: rows as they are, for the scale of each tracer; no scaling unless given.

    Raises:
        ShapeError: without copies or rows, or if a copy has no tracer of its own.

    Cost: one forward pass of each tracer per row and trusted row.
    """
    some_rows(copies, "trace", what="copy")
    some_rows(x, "trace")
    found = []
    with torch.no_grad():
        for copy in copies:
            if copy.tracer is None:
                raise ShapeError("trace: a copy has no trained tracer", fix="Pass tracer=....")
            score = _score(copy.tracer(x), answer, y)
            if trusted is not None:
                mean, spread = _usual(copy.tracer(trusted), answer, y)
                score = (score - mean) / spread
            found.append(score)
    scores = torch.stack(found)
    return Origin(int(scores.mean(1).argmax()), scores)


def _score(z: Tensor, answer: Tensor, y: Tensor | None) -> Tensor:
    own = z.gather(1, answer[:, None]).squeeze(1)
    if y is not None:
        return own - z.gather(1, y[:, None]).squeeze(1)
    return own - z.scatter(1, answer[:, None], -torch.inf).amax(1)


def _usual(z: Tensor, answer: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the same score on the logits `(n, K)` of other rows."""
    own = z[:, answer]
    rest = z[:, y] if y is not None else torch.stack(
        [z.scatter(1, a.expand(len(z), 1), -torch.inf).amax(1) for a in answer], 1
    )  # fmt: skip
    gap = own - rest
    return gap.mean(0), gap.std(0).clamp(min=1e-12)


def restless(tracer: nn.Module, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The tracer's logits on rows, and `(B,)` the mean cosine with those on noisy copies.

    Args:
        tracer: `(B, ...)` to `(B, K)`.
        x: `(B, ...)` in [0, 1].
        noise: `(N, B, ...)`.
    """
    z = logits(tracer(x))
    noisy = (x + noise).clamp(0, 1).flatten(0, 1)
    moved = logits(tracer(noisy)).unflatten(0, noise.shape[:2])
    return z, F.cosine_similarity(z[None], moved, dim=2).mean(0)
