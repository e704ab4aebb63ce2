"""Interval and backward linear bounds over many regions at once, rounded outward.

Everything is float64; `rounding` says how its errors are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from holdfast.certify.checker.network import Network
from holdfast.certify.checker.rounding import TINY, Array, down, gamma, times, up
from holdfast.certify.checker.specification import Alternative


@dataclass(eq=False)
class Region:
    """Boxes of inputs with splits of ReLUs.

    Args:
        low: `(L, n)`.
        high: `(L, n)`.
        signs: for a layer `(L, entries)`: 1 where it is split to be at least 0, -1 at most, else 0.
    """

    low: Array
    high: Array
    signs: dict[int, Array]
    before: dict[int, tuple[Array, Array]] = field(default_factory=dict)  # what goes into ReLUs

    def cut(self, layer: int, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds of what goes into a ReLU, cut at 0 where it is split."""
        if layer in self.signs:
            low = np.where(self.signs[layer] > 0, np.maximum(low, 0), low)
            high = np.where(self.signs[layer] < 0, np.minimum(high, 0), high)
        return low, high

    def empty(self) -> Any:
        """`(L,)` where a lower bound lies above an upper one, so that no input is left."""
        found = (self.low > self.high).any(1)
        for low, high in self.before.values():
            found |= (low > high).any(1)
        return found


class Bounds:
    """Bounds of all values of a network over regions.

    Args:
        net: the network.
        region: where; `before` fills up as layers are bounded.
    """

    def __init__(self, net: Network, region: Region) -> None:
        self.net, self.region = net, region
        self.low, self.high = [region.low], [region.high]

    def upto(self, number: int) -> None:
        """Interval bounds of all values up to one."""
        for value in self.net.values[len(self.low) : number + 1]:
            if value.layer >= 0:
                low, high = self.region.before[value.layer]
                self.low.append(np.maximum(low, 0))
                self.high.append(np.maximum(high, 0))
                continue
            middle = np.broadcast_to(value.offset, (len(self.region.low), len(value.offset)))
            spread = TINY + np.zeros_like(middle)
            if value.error is not None:
                spread = spread + value.error
            for (parent, _), (forward, sizes) in zip(value.parts, value.forward, strict=True):
                low, high = self.low[parent], self.high[parent]
                centre = low / 2 + high / 2
                radius = up(np.maximum(up(high - centre), up(centre - low)))
                share = gamma(low.shape[1] + len(value.parts) + 4)
                middle = middle + times(centre, forward)
                largest = times(np.maximum(abs(low), abs(high)), sizes)
                spread = spread + times(radius, sizes) + 4 * share * (largest + abs(value.offset))
            self.low.append(down(middle - spread * (1 + 2.0**-40)))
            self.high.append(up(middle + spread * (1 + 2.0**-40)))

    def largest(self, number: int) -> Array:
        """`(L, n)` above the size of a value."""
        return np.maximum(abs(self.low[number]), abs(self.high[number]))

    def backward(
        self, number: int, a: Array, constant: Array, slopes: dict[int, Array],
        betas: dict[int, Array], *, more: Array | None = None,
    ) -> Array:  # fmt: skip
        """`(L, T)` numbers below `a @ value + constant (+ more @ input)` over each region.

        Args:
            number: of the value.
            a: `(L, T, n)` coefficients.
            constant: `(L, T)`.
            slopes: for a layer `(L, 1 or T, entries)`, in [0, 1].
            betas: for a layer `(L, entries)`, not negative, 0 where it is not split.
            more: `(L, T, inputs)` coefficients of the inputs.
        """
        waiting = {number: a}
        if more is not None:
            constant = self._collect(waiting, 0, more, constant)
        for i in range(number, 0, -1):
            if i not in waiting:
                continue
            a, value = waiting.pop(i), self.net.values[i]
            if value.layer >= 0:
                found, constant = self._through_relu(a, constant, value.layer, slopes, betas)
                constant = self._collect(waiting, value.parts[0][0], found, constant)
                continue
            size = abs(a)
            error = gamma(2 * a.shape[-1]) * (size @ abs(value.offset)) + TINY
            if value.error is not None:
                error = error + 1.01 * (size @ value.error)
            constant = down(down(constant + a @ value.offset) - 1.01 * error)
            for (parent, matrix), (_, sizes) in zip(value.parts, value.forward, strict=True):
                if matrix is not None:
                    reach = times(self.largest(parent), sizes)
                    error = gamma(2 * a.shape[-1]) * (size @ reach[:, :, None])[..., 0]
                    constant = down(constant - 1.01 * (error + TINY))
                constant = self._collect(waiting, parent, times(a, matrix), constant)
        return self._at_box(waiting.get(0), constant)

    def _collect(self, waiting: dict[int, Array], to: int, a: Array, constant: Array) -> Array:
        """Add coefficients to those a value already has."""
        if to not in waiting:
            waiting[to] = a
            return constant
        waiting[to] = waiting[to] + a
        error = 2.0**-52 * (abs(waiting[to]) @ self.largest(to)[:, :, None])[..., 0]
        return down(constant - 1.01 * (error + TINY))

    def _through_relu(
        self, a: Array, constant: Array, layer: int, slopes: dict[int, Array],
        betas: dict[int, Array],
    ) -> tuple[Array, Array]:  # fmt: skip
        """Replace a ReLU by lines below and above it, for each sign of the coefficients."""
        low, high = self.region.before[layer]
        on, off = low >= 0, high <= 0
        least = np.where(high > -low, 1.0, 0.0)[:, None]
        least = np.where(on[:, None], 1.0, np.where(off[:, None], 0.0, slopes.get(layer, least)))
        width = np.where(on | off, 1.0, high - low)
        chord = np.where(on, 1.0, np.where(off, 0.0, np.clip(high / width, 0.0, 1.0)))
        # Any line with this height lies above the ReLU at both ends and at 0, hence between.
        height = np.maximum(up(-chord * low), up(high - down(chord * high)))
        height = np.where(on | off, 0.0, np.maximum(height, 0.0))
        below = np.minimum(a, 0)
        found = np.maximum(a, 0) * least + below * chord[:, None]
        largest = np.maximum(abs(low), abs(high))[:, :, None]
        error = 2.0**-51 * (abs(a) @ largest)[..., 0]
        lift = (below @ height[:, :, None])[..., 0]
        error = error + gamma(2 * a.shape[-1]) * abs(lift) + TINY
        constant = down(down(constant + lift) - 1.01 * error)
        if layer in betas:
            # Where z >= 0 is known, beta z >= 0 may be taken away; where z <= 0, added.
            found = found - (betas[layer] * self.region.signs[layer])[:, None]
            error = 2.0**-52 * (abs(found) @ largest)[..., 0]
            constant = down(constant - 1.01 * (error + TINY))
        return found, constant

    def _at_box(self, a: Array | None, constant: Array) -> Array:
        """The least value of a linear function of the inputs."""
        if a is None:
            return constant
        low, high = self.region.low[:, :, None], self.region.high[:, :, None]
        total = (np.maximum(a, 0) @ low)[..., 0] + (np.minimum(a, 0) @ high)[..., 0]
        error = gamma(2 * a.shape[-1]) * (abs(a) @ self.largest(0)[:, :, None])[..., 0]
        return down(down(constant + total) - 1.01 * (error + TINY))

    def combined(
        self, output: int, way: Alternative, factors: Array, slopes: dict[int, Array],
        betas: dict[int, Array],
    ) -> Array:  # fmt: skip
        """`(L, 1)` numbers below `factors . (c y + e x - d)`.

        Args:
            output: number of the value y.
            way: c, e and d.
            factors: `(L, 1, rows)`.
            slopes: as of `backward`.
            betas: as of `backward`.
        """
        share = gamma(2 * len(way.d))
        error = share * ((factors @ abs(way.c)) @ self.largest(output)[:, :, None])[..., 0]
        error = error + share * ((factors @ abs(way.e)) @ self.largest(0)[:, :, None])[..., 0]
        error = error + share * (factors @ abs(way.d)) + TINY
        constant = down(down(-(factors @ way.d)) - 1.02 * error)
        more = factors @ way.e if way.e.any() else None
        return self.backward(output, factors @ way.c, constant, slopes, betas, more=more)
