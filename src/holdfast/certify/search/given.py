"""Bounds of neurons on a part, of those inputs only that reach the alternative asked about."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.draft import Draft
from holdfast.certify.search.climb import BETA_RATE, LARGEST, SLOPE_RATE
from holdfast.certify.search.pairs import around
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.ops.interval import UNIT

AGE = 2  # splits of a part after which neurons are bounded anew
LEVEL = 1e-6  # an alternative is taken for reached up to this margin, so that one remains
STEPS = 3  # evaluations of each end
BEGIN = 0.1  # the first multiplier, in sizes of coefficients at the neurons


@dataclass(eq=False)
class Given:
    """Ends of the open neurons of a value on one part, of inputs that reach its alternative.

    Inputs that do not reach it need no bound, as the part is refuted without them. For those that
    do, the margin is not positive: with a multiplier it is added to each neuron, and what lies
    below the sum lies below the neuron. Any multiplier that is not negative gives a bound that
    holds; it is optimised together with slopes and the multipliers of signs, from those by which
    the part itself is bounded. The nearer a part is to being refuted, the fewer inputs remain, and
    the more its neurons shrink.

    Args:
        signed: the region, with one alternative.
        part: one row.
        p: position of the value.
    """

    signed: Signed
    part: Splits
    p: int

    def __post_init__(self) -> None:
        signed, part, graph = self.signed, self.part, self.signed.graph
        self.bounds: Bounds = signed.bounds(part, torch.zeros(1, dtype=torch.long))
        low, high = (end.flatten() for end in self.bounds.boxes[self.p])
        self.unit = ((low < 0) & (high > 0)).nonzero().flatten()
        m = 2 * len(self.unit)
        one = torch.zeros(m, len(low), dtype=torch.float64)
        one[torch.arange(m), self.unit.repeat(2)] = 1.0
        one[m // 2 :] *= -1
        self.one = one.reshape(1, m, *graph.nodes[self.p].shape)
        share = signed.mixtures.share(torch.zeros(1, dtype=torch.long), part.mix[:, 0, None])
        self.c = (share @ signed.mixtures.c)[0, 0]
        d = (share[0, 0] * signed.mixtures.d[0]).sum()
        self.d = d + LEVEL * (1 + d.abs())
        of = {p: i for i, p in signed.relus.items()}
        self.rate = BEGIN / signed.scale[of[self.p]]
        last = part.pull[self.p].flatten(2)[:, :, self.unit].reshape(1, m, 1)
        self.gamma = torch.where(last > 0, last, torch.full_like(last, self.rate))
        self.slopes = {i: _wide(v, m) for i, v in part.slopes.items()}
        self.signs = {p: v[:, None].double() for p, v in part.signs.items() if bool(v.any())}
        self.betas = {
            p: _wide(part.betas[p], m) * self.gamma.reshape(1, m, *[1] * (v.dim() - 2))
            for p, v in self.signs.items()
        }
        self.rates = {p: BETA_RATE * signed.scale[of[p]] * self.rate for p in self.signs}

    def climb(self, steps: int) -> None:
        """Move all that is free, in float32, and keep the best of each end."""
        draft = Draft(self.bounds, self.bounds.graph.output, self.one.shape[1])
        shape = self.bounds.graph.nodes[draft.start].shape
        slopes: dict[int, Tensor] = {}
        for i, v in self.slopes.items():
            open_, above, _ = draft.fixed[i]
            slopes[i] = draft.free[draft.slots[i].start] = torch.where(open_ > 0, v.float(), above)
        betas = {p: v.float() for p, v in self.betas.items()}
        signs = {p: -v.float() for p, v in self.signs.items()}
        gamma, one, c, d = self.gamma.float(), self.one.float(), self.c.float(), float(self.d)

        def value() -> Tensor:
            draft.push = {p: signs[p] * beta for p, beta in betas.items()}
            draft.push[self.p] = draft.push[self.p] + one if self.p in draft.push else one
            return draft.down((gamma * c).unflatten(2, shape), None) - d * gamma[:, :, 0]

        def gradient() -> list[Tensor]:
            every = draft.up(whole=True)
            found = [every[draft.slots[i].start] for i in slopes]
            found += [signs[p] * draft.values[p] for p in betas]
            return [*found, (draft.values[draft.start].flatten(2) @ c - d)[:, :, None]]

        free = [*slopes.values(), *betas.values(), gamma]
        ends = [(0.0, 1.0)] * len(slopes) + [(0.0, LARGEST)] * (len(betas) + 1)
        rates = [SLOPE_RATE] * len(slopes) + [self.rates[p] for p in betas] + [self.rate]
        Ascent(free, ends, rates).run(value, gradient, steps, lambda seen: False)
        self.slopes, self.gamma = {i: v.double() for i, v in slopes.items()}, gamma.double()
        self.betas = {p: v.double() for p, v in betas.items()}

    def below(self) -> Tensor:
        """`(2 m,)`: numbers below the neurons, and below their negatives."""
        planes = around(self.bounds, self.signed.relus, self.slopes)
        push = {p: -self.signs[p] * beta for p, beta in self.betas.items()}
        push[self.p] = push[self.p] + self.one if self.p in push else self.one
        graph = self.bounds.graph
        a = (self.gamma * self.c).unflatten(2, graph.nodes[graph.output].shape)
        found = evaluated(
            self.bounds, backward(self.bounds, graph.output, a, planes=planes, push=push)
        )
        right = self.gamma[:, :, 0] * self.d
        found = found - right - 4 * UNIT * (found.abs() + 2 * right.abs())
        return found[0].nan_to_num(-torch.inf, -torch.inf, -torch.inf)

    def told(self) -> bool:
        """Bound the neurons of the part, in place; whether any input remains."""
        if not len(self.unit):
            return True
        self.climb(STEPS)
        m, part = len(self.unit), self.part
        found = self.below()
        low, high, signs = (v[self.p].flatten() for v in (part.low, part.high, part.signs))
        low[self.unit] = torch.maximum(low[self.unit], found[:m])
        high[self.unit] = torch.minimum(high[self.unit], -found[m:])
        # What the ends say of a sign holds for these inputs alone, like the sign of a split.
        known = torch.where(low >= 0, 1, torch.where(high <= 0, -1, 0)).to(signs.dtype)
        signs[self.unit] = known[self.unit]
        part.pull[self.p].flatten(2)[0, :, self.unit] = self.gamma.reshape(2, m)
        for store, v in ((part.low, low), (part.high, high), (part.signs, signs)):
            store[self.p] = v.reshape(store[self.p].shape)
        return bool((low <= high).all())


def _wide(v: Tensor, m: int) -> Tensor:
    """`(1, m, *shape)`: the same for each of m questions."""
    return v.repeat(1, m, *[1] * (v.dim() - 2))


def alone(signed: Signed, rows: Tensor, j: int) -> tuple[Signed, Splits]:
    """The region with one alternative, and the whole of it to be searched by contradiction.

    Args:
        signed: the region with several.
        rows: `(1, J)` what is known of them.
        j: which.
    """
    graph, unsafe = signed.graph, signed.unsafe.alone(j)
    found = Signed(graph, signed.root, unsafe, renew=False)
    p = max(found.relus.values())
    pull = {p: torch.zeros(1, 2, *graph.nodes[p].shape, dtype=torch.float64)}
    return found, replace(found.whole(rows[:, j : j + 1]), pull=pull)


def given(signed: Signed, parts: Splits, until: float = inf) -> Splits:
    """Parts that are searched by contradiction, without those on which no input remains.

    The values for which `pull` has multipliers are bounded anew where some splits were made since.

    Args:
        signed: the region, with one alternative.
        parts: that are open.
        until: of `time.monotonic()`: what is not bounded anew by then stays as it is.
    """
    old = parts.age >= AGE
    if not parts.pull or not bool(old.any()):
        return parts
    found = [parts.take(~old)]
    for row in old.nonzero().flatten().tolist():
        part = parts.take(slice(row, row + 1)).clone()
        if time.monotonic() > until:
            found.append(part)
        elif all(Given(signed, part, p).told() for p in parts.pull):
            found.append(replace(part, age=torch.zeros_like(part.age)))
    return Splits.join(found)
