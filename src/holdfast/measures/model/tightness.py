"""How much of an interval bound is true: width of the exact box over the propagated one's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.ops.spans import Span
from holdfast.ops.tape import NoRule, Step, Tape, Through
from holdfast.run.reading import average

Mode = Literal["local", "linear"]


@dataclass(frozen=True, eq=False)
class Tightness:
    """Tightness of interval propagation, row by row.

    Args:
        values: `(B, W)` in [0, 1]: 1 where interval bounds are exact; NaN where nothing moves.
        seed: of the interval of the mean.
        alpha: of that interval.
    """

    values: Tensor
    seed: int
    alpha: float

    def readings(self) -> tuple[Reading, ...]:
        """The mean over rows of each row's mean over the outputs that move at all."""
        rows = self.values.nanmean(1) if self.values.numel() else self.values.sum(1)
        known = rows[rows.isfinite()]
        if not len(known):
            nothing = float("nan")
            return (Reading(name="ibp.tightness", value=nothing, low=0.0, high=1.0, n=0),)
        return (average("ibp.tightness", known, seed=self.seed, alpha=self.alpha),)


@register("measure", cites="ibp-tightness")
def propagation_tightness(
    model: Model,
    batches: Batches,
    *,
    radius: float = 0.02,
    mode: Mode = "local",
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
    seed: int = 0,
) -> Tightness:
    """Width of the exact box over that of the propagated box, on the network's linear piece.

    With J the Jacobian of the piece and e the half widths of the input box, the exact half widths
    are `|J| e`, those of interval propagation `|W_L| ... |W_1| e`. Their quotient lies in [0, 1]
    and is 1 iff no two paths between an input and an output cancel; at random weights it falls
    like the root of the width and exponentially with depth. ReLUs keep the signs that they have
    at each input (`local`) or are left out (`linear`); constants count in neither.

    Args:
        model: of affine functions, ReLUs and batch normalisation with fixed statistics.
        batches: inputs; labels choose the differences that are asked about; at -100 the
            model's answer does.
        radius: of the box, cut to the range.
        mode: what becomes of ReLUs.
        low: least valid input.
        high: largest valid input.
        alpha: the interval covers with probability 1 - alpha.
        seed: of the interval.

    Cost: one pass of boxes per row, and K rows of coefficients back through the network.

    Raises:
        Unsupported: for functions without a rule, or inputs that are no tensor.
        ConfigError: for a radius that is not positive.
    """
    inside("(0, inf)", "propagation_tightness", radius=radius)
    one_tensor(batches.x, "propagation_tightness")
    parts = []
    with quiet(model), torch.no_grad():
        if isinstance(model, nn.Module):
            model.eval()
        for batch in batches:
            if isinstance(batch.x, Tensor):
                parts.append(_tightness(model, batch.x, batch.y, radius, mode, (low, high)))
    values = torch.cat(parts) if parts else torch.empty(0, 1, dtype=torch.float64)
    return Tightness(values, seed, alpha)


def _tightness(
    model: Model, x: Tensor, y: Tensor, radius: float, mode: Mode, ends: tuple[float, float]
) -> Tensor:
    """`(B, K - 1)`: of the differences between the other logits and the label's."""
    low = torch.minimum((x - radius).clamp(min=ends[0]), x)
    high = torch.maximum((x + radius).clamp(max=ends[1]), x)
    tape = Tape(relu="mask" if mode == "local" else "ignore")
    try:
        out: object = model(Span.over(x, low, high, tape))
    except NoRule as error:
        raise Unsupported(f"propagation_tightness: {error}", fix="Use ReLU layers.") from None
    out = out[0] if isinstance(out, tuple) else out
    if not isinstance(out, Span) or out.dim() != 2:
        raise Unsupported(
            "propagation_tightness needs logits (B, K) that depend on the input, got "
            f"{type(out).__name__}",
            fix="Give a model that returns logits (B, K) computed from its input.",
        )
    classes = out.shape[1]
    own = torch.where(y >= 0, y.to(x.device), out.step.point.argmax(1))
    others = torch.arange(classes - 1, device=x.device)[:, None].expand(-1, len(x))
    others = others + (others >= own)
    eye = torch.eye(classes, dtype=x.dtype, device=x.device)
    ways = eye[others] - eye[own]
    through: Through = "mask" if mode == "local" else "ignore"
    exact, _ = tape.pulled(out.position, ways, through)
    boxes, _ = tape.pulled(out.position, ways, "stop")
    if set(exact) - {0}:
        raise Unsupported("propagation_tightness is about ReLU networks", fix="Use ReLU layers.")
    true, propagated = (
        sum((_width(tape.steps[i], a) for i, a in found.items()), x.new_zeros(ways.shape[:2]))
        for found in (exact, boxes)
    )
    return torch.where(propagated > 0, true / propagated, torch.nan).T.double().cpu()


def _width(step: Step, a: Tensor) -> Tensor:
    half = ((step.high - step.low) / 2).flatten(1)
    return (a.flatten(2).abs() * half).sum(2)


def sign_violations(weight: Tensor) -> int:
    """How many of the 2 x 2 minors of a matrix no propagation-invariant network can have.

    Two layers through which boxes pass without loss, whatever the radius, multiply to a matrix
    with `W_ij W_ij' W_i'j W_i'j' >= 0` for all pairs of rows and columns: its signs have rank
    one, which leaves m + n - 1 of them free.

    Args:
        weight: `(m, n)`, the product of the layers.
    """
    s = weight.sign()
    pairs = torch.einsum("ij,kj->ikj", s, s)  # the product of two rows, column by column
    plus, minus = (pairs > 0).sum(2), (pairs < 0).sum(2)
    return int((plus * minus).triu(1).sum())
