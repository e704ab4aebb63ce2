"""Whether a proof shows that no input of a specification is unsafe."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.certify.checker.bounds import Bounds, Region
from holdfast.certify.checker.form import Form, loaded
from holdfast.certify.checker.network import Network
from holdfast.certify.checker.rejected import Rejected, contents
from holdfast.certify.checker.specification import Alternative, alternatives

NUMBERS = 2**23  # of one array of coefficients
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Accepted:
    """What was checked.

    Args:
        alternatives: of the specification, without the empty ones.
        leaves: of the trees.
        refutations: whose bounds were computed.
    """

    alternatives: int
    leaves: int
    refutations: int


def check(network: str | Path, specification: str | Path, proof: str | Path) -> Accepted:
    """Accept a proof or raise `Rejected` with the reason."""
    try:
        net_bytes, text_bytes = contents(network), contents(specification)
        arrays = loaded(Path(proof))
        header = json.loads(arrays.pop("header").tobytes())
        if (header.get("format"), header.get("version")) != ("holdfast-proof", 1):
            raise Rejected("this is not a proof of version 1")
        for key, raw in (("network", net_bytes), ("property", text_bytes)):
            if header.get(key) != hashlib.sha256(raw).hexdigest():
                raise Rejected(f"the proof is about another {key}")
        return Checker(Network(net_bytes), list(alternatives(text_bytes.decode())), arrays).run()
    except (Rejected, ImportError, MemoryError):
        raise
    except Exception as error:  # what is malformed in a way that nobody thought of
        raise Rejected(f"something is malformed: {type(error).__name__}: {error}") from error


class Checker:
    """One proof, looked at piece by piece.

    Args:
        net: the network.
        ways: the alternatives; None for empty ones.
        arrays: of the proof.
    """

    def __init__(self, net: Network, ways: list[Alternative | None], arrays: dict[str, Array]):
        self.net, self.ways, self.a = net, ways, arrays
        self.sizes = [net.size(number) for number in net.layers]
        self.form = Form(arrays, net.size(0), self.sizes, ways)
        self.before: dict[int, dict[int, tuple[Array, Array]]] = {}

    def run(self) -> Accepted:
        """Compute every bound set, every refutation, and whether they cover everything."""
        for group in self._groups(len(self.a["bounds"]), self._set_kind):
            self._bound(group)
        refuted: dict[int, set[int]] = defaultdict(set)
        count = len(self.a["refutations"])
        for group in self._groups(count, self._refutation_kind):
            for i, good in zip(group, self._refute(group), strict=True):
                if good:
                    refuted[int(self.a["refutations"][i, 1])].add(int(self.a["refutations"][i, 0]))
        for number, way in enumerate(self.ways):
            if way is not None and not self.form.covers(way, refuted[number]):
                raise Rejected(f"alternative {number} is not refuted everywhere")
        inner = {int(p) for p in self.a["nodes"][:, 0] if p >= 0}
        kept = sum(way is not None for way in self.ways)
        return Accepted(kept, len(self.a["nodes"]) - len(inner), count)

    def _region(self, nodes: list[int]) -> Region:
        low, high = (np.array([self.form.box[node][end] for node in nodes]) for end in (0, 1))
        signs: dict[int, Array] = {}
        for i, node in enumerate(nodes):
            for (layer, entry), sign in self.form.splits[node].items():
                if layer not in signs:
                    signs[layer] = np.zeros((len(nodes), self.sizes[layer]))
                signs[layer][i, entry] = sign
        return Region(low, high, signs)

    # Bound sets.

    def _set_kind(self, i: int) -> Any:
        keys = sorted((k, len(v)) for k, v in self.form.slopes[0, i].items())
        return self.a["modes"][i].tobytes(), tuple(keys)

    def _refutation_kind(self, i: int) -> Any:
        return int(self.a["refutations"][i, 1]), tuple(sorted(self.form.slopes[1, i]))

    def _groups(self, count: int, kind: Any) -> Iterator[list[int]]:
        """What can be computed side by side, in portions."""
        widest = max(self.net.size(i) for i in range(len(self.net.values)))
        most = max(1, NUMBERS // (16 * widest * min(widest, 64)))
        alike = defaultdict(list)
        for i in range(count):
            alike[kind(i)].append(i)
        for group in alike.values():
            for start in range(0, len(group), most):
                yield group[start : start + most]

    def _bound(self, group: list[int]) -> None:
        """Compute bound sets that have the same modes and slopes of the same form."""
        region = self._region(self.a["bounds"][group].tolist())
        bounds = Bounds(self.net, region)
        slopes = {key: np.stack([self.form.slopes[0, i][key] for i in group])
                  for key in self.form.slopes[0, group[0]]}  # fmt: skip
        for layer, number in enumerate(self.net.layers):
            mode = int(self.a["modes"][group[0], layer])
            bounds.upto(number)
            low, high = bounds.low[number], bounds.high[number]
            if mode == 1 and layer:
                own = {j: v for (k, j), v in slopes.items() if k == layer}
                low, high = tightened(bounds, number, low, high, own)
            low, high = region.cut(layer, low, high)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise Rejected("a bound is not finite")
            region.before[layer] = low, high
        for place, i in enumerate(group):
            self.before[i] = {k: (a[place], b[place]) for k, (a, b) in region.before.items()}

    # Refutations.

    def _refute(self, group: list[int]) -> Array:
        """Which refutations of one alternative hold."""
        table = self.a["refutations"][group]
        way = self.ways[int(table[0, 1])]
        if way is None:
            raise Rejected("an empty alternative is refuted")
        region = self._region(table[:, 0].tolist())
        for layer in range(len(self.sizes)):
            low, high = (np.stack([self.before[b][layer][e] for b in table[:, 2].tolist()])
                         for e in (0, 1))  # fmt: skip
            region.before[layer] = region.cut(layer, low, high)
        bounds = Bounds(self.net, region)
        bounds.upto(self.net.output)
        factors = np.stack([self.form.rows[i] for i in group])[:, None]
        slopes = {layer: np.stack([self.form.slopes[1, i][-1, layer] for i in group])
                  for _, layer in self.form.slopes[1, group[0]]}  # fmt: skip
        betas = {layer: np.zeros_like(sign) for layer, sign in region.signs.items()}
        for place, i in enumerate(group):
            for layer, entry, value in self.form.betas[i]:
                if layer not in betas or not 0 <= entry < betas[layer].shape[1]:
                    raise Rejected("a beta belongs to no split")
                if region.signs[layer][place, entry] == 0:
                    raise Rejected("a beta belongs to no split")
                betas[layer][place, entry] = value
        lower = bounds.combined(self.net.output, way, factors, slopes, betas)
        return np.asarray((lower[:, 0] > 0) | region.empty())


def tightened(
    bounds: Bounds, number: int, low: Array, high: Array, slopes: dict[int, Array]
) -> tuple[Array, Array]:
    """Tighten bounds of a value by linear ones, where its ReLU is not decided."""
    low, high = low.copy(), high.copy()
    chosen = np.flatnonzero(((low < 0) & (high > 0)).any(0))
    count, size = low.shape
    most = max(1, NUMBERS // (2 * count * max(bounds.low[i].shape[1] for i in range(number))))
    for start in range(0, len(chosen), most):
        rows = chosen[start : start + most]
        a = np.zeros((2, len(rows), size))
        a[0, np.arange(len(rows)), rows], a[1, np.arange(len(rows)), rows] = 1.0, -1.0
        own = {}
        for layer, values in slopes.items():
            both = values
            if values.shape[1] == 2:
                both = np.repeat(values, len(rows), 1)
            elif values.shape[1] > 2:
                both = values[:, np.concatenate([rows, rows + size])]
            own[layer] = both
        every = np.broadcast_to(a.reshape(1, 2 * len(rows), size), (count, 2 * len(rows), size))
        found = bounds.backward(number, every, np.zeros(every.shape[:2]), own, {})
        low[:, rows] = np.fmax(low[:, rows], found[:, : len(rows)])
        high[:, rows] = np.fmin(high[:, rows], -found[:, len(rows) :])
    return low, high
