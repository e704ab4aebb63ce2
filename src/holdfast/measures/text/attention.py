"""What no short prompt can make an attention head put out."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError
from holdfast.core.inputs import one_tensor
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class AttentionHead:
    """One head of softmax attention over rows: `softmax(X Wq Wk' X' / sqrt(d_k)) X Wv`.

    Args:
        query: `(d, d_k)`.
        key: `(d, d_k)`.
        value: `(d, d_v)`.
        causal: whether a token sees only those before it (and itself).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    causal: bool = False

    def scores(self, x: Tensor) -> Tensor:
        """`(B, m, m)` attention logits of states `(B, m, d)`; -inf where a token cannot look."""
        x = x.double()
        found = (x @ self.query.double()) @ (x @ self.key.double()).mT
        found = found / sqrt(self.query.shape[1])
        if self.causal:
            ahead = torch.ones(found.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            found = found.masked_fill(ahead, -torch.inf)
        return found

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, m, d_v)` outputs of states `(B, m, d)`."""
        return self.scores(x).softmax(-1) @ (x.double() @ self.value.double())


@dataclass(frozen=True, eq=False)
class Unreachable:
    """Outputs that no admissible prompt brings about.

    Args:
        unreachable: `(B, m)` bool, proved; False says nothing.
        left: `(B, m)` logarithm of the part of the output without a prompt that is
            perpendicular to the wanted one.
        right: `(B, m)` logarithm of the most that the prompt can cancel.
        name: of the reading.
        alpha: of the interval.
    """

    unreachable: Tensor
    left: Tensor
    right: Tensor
    name: str
    alpha: float

    def readings(self) -> tuple[Reading, ...]:
        """Share of the wanted outputs that are proved out of reach."""
        count, n = int(self.unreachable.sum()), self.unreachable.numel()
        return (proportion(self.name, count, n, bound="lower", better="neither", alpha=self.alpha),)


@register("measure", cites="magic-words")
def attention_unreachable(
    head: AttentionHead,
    batches: Batches,
    *,
    tokens: int = 1,
    largest: float = 1.0,
    alpha: float = 0.05,
    name: str = "unreachable",
) -> Unreachable:
    """Proves of wanted outputs of an attention head that no short prompt can bring them about.

    Up to k tokens of length at most M are put in front of the states. Their attention weights
    add up to at most `D = k exp(a)`, `a = s_q s_k M M_x / sqrt(d_k)`, so the output is
    `g / (D + g)` times the one without them, plus at most `D s_v M / (D + g)`. What of the output
    without prompt is perpendicular to the wanted one has to be cancelled: where it is longer than
    `k exp(a) s_v M / g`, the wanted output and all its multiples are out of reach. The condition
    is sufficient only. Logarithms throughout: nothing overflows.

    Args:
        head: query, key and value matrices.
        batches: `x` the states `(B, m, d)`; `more["target"]` the wanted outputs `(B, m, d_v)`.
        tokens: k, of the prompt.
        largest: M, length of the longest token of a prompt.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.

    Raises:
        ConfigError: for less than one token or a negative length.
        ShapeError: without wanted outputs, or if they do not fit.
        Unsupported: if the states are not one tensor.
    """
    inside("[1, inf]", name, tokens=tokens)
    inside("[0, inf]", name, largest=largest)
    x, wanted = batches.x, batches.more.get("target")
    x = one_tensor(x, name, floating=True)
    shape = (*x.shape[:2], head.value.shape[1])
    if wanted is None or wanted.shape != shape:
        got = None if wanted is None else tuple(wanted.shape)
        raise ShapeError(f"{name}: wanted outputs {got} where {shape} belong",
                         fix="Pass them as more={'target': ...}.")  # fmt: skip
    matrices = (head.query, head.key, head.value)
    sizes = [float(torch.linalg.matrix_norm(m.double(), 2)) for m in matrices]
    longest = x.double().norm(dim=2).amax(1) if x.shape[1] else x.new_zeros(len(x)).double()
    a = sizes[0] * sizes[1] * largest * longest / sqrt(head.query.shape[1])
    most = log(tokens) + a[:, None] - head.scores(x).logsumexp(-1)
    reach = sizes[2] * largest
    right = most + log(reach) if reach > 0 else torch.full_like(most, -torch.inf)
    bare, way = head(x), wanted.double()
    length = way.square().sum(-1, keepdim=True)
    along = torch.where(length > 0, (bare * way).sum(-1, keepdim=True) / length, 0.0) * way
    left = (bare - along).norm(dim=-1).log()
    # Rounding of the projection must not prove anything: what is left of a parallel vector is 0.
    noise = (bare.norm(dim=-1) * 1e-12).log()
    return Unreachable((left > right) & (left > noise), left, right, name, alpha)
