"""Whether a proof shows that no input of a specification is unsafe."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.certify.checker.bounds import Bounds, Region
from holdfast.certify.checker.network import Network
from holdfast.certify.checker.rejected import MAX_BYTES, Rejected, contents
from holdfast.certify.checker.specification import Alternative, alternatives

NUMBERS = 2**23  # of one array of coefficients
ARRAYS = {
    "header": np.uint8, "low": np.float64, "high": np.float64, "nodes": np.int64,
    "cuts": np.float64, "bounds": np.int64, "modes": np.int64, "refutations": np.int64,
    "multipliers": np.float64, "alphas": np.int64, "alpha_values": np.float64,
    "betas": np.int64, "beta_values": np.float64,
}  # fmt: skip
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
        arrays = _loaded(Path(proof))
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


def _loaded(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as file:
        if sum(member.file_size for member in file.infolist()) > MAX_BYTES:
            raise Rejected(f"the proof holds more than {MAX_BYTES} bytes")
    with np.load(path, allow_pickle=False) as file:
        if missing := set(ARRAYS) - set(file.files):
            raise Rejected(f"the proof has no array {min(missing)!r}")
        found = {name: np.asarray(file[name]) for name in ARRAYS}
    for name, kind in ARRAYS.items():
        if found[name].dtype.kind != np.dtype(kind).kind:
            raise Rejected(f"the array {name!r} has the wrong type")
        if found[name].dtype.kind == "f" and not np.isfinite(found[name]).all():
            raise Rejected(f"the array {name!r} has entries that are not finite")
    return {n: v if n == "header" else v.astype(ARRAYS[n]) for n, v in found.items()}


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
        self.before: dict[int, dict[int, tuple[Array, Array]]] = {}
        self.slopes: dict[tuple[int, int], dict[tuple[int, int], Array]] = defaultdict(dict)
        self.betas: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
        self._well_formed()

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
            if way is not None and not self._covered(way, refuted[number]):
                raise Rejected(f"alternative {number} is not refuted everywhere")
        inner = {int(p) for p in self.a["nodes"][:, 0] if p >= 0}
        kept = sum(way is not None for way in self.ways)
        return Accepted(kept, len(self.a["nodes"]) - len(inner), count)

    # What the proof says, checked for form.

    def _well_formed(self) -> None:
        a, inputs, layers = self.a, self.net.size(0), len(self.sizes)
        nodes, count = a["nodes"], len(a["nodes"])
        shapes = {
            "nodes": (count, 5), "cuts": (count,), "low": (len(a["low"]), inputs),
            "high": (len(a["low"]), inputs), "bounds": (len(a["bounds"]),),
            "modes": (len(a["bounds"]), layers), "refutations": (len(a["refutations"]), 3),
            "alphas": (len(a["alphas"]), 6), "betas": (len(a["betas"]), 3),
            "beta_values": (len(a["betas"]),), "multipliers": (a["multipliers"].size,),
            "alpha_values": (a["alpha_values"].size,),
        }  # fmt: skip
        for name, shape in shapes.items():  # arrays that hold nothing may have any shape
            if a[name].shape != shape and (a[name].size or np.prod(shape)):
                raise Rejected(f"the array {name!r} has shape {a[name].shape}, expected {shape}")
        if (a["multipliers"] < 0).any() or (a["beta_values"] < 0).any():
            raise Rejected("a multiplier is negative")
        if ((a["alpha_values"] < 0) | (a["alpha_values"] > 1)).any():
            raise Rejected("a slope lies outside of [0, 1]")
        self.children: dict[int, list[int]] = defaultdict(list)
        self.box: list[tuple[Array, Array]] = []
        self.splits: list[dict[tuple[int, int], int]] = []
        for i, (parent, kind, layer, entry, side) in enumerate(nodes.tolist()):
            wide = inputs if kind == 1 else self.sizes[layer] if 0 <= layer < layers else 0
            inner = 0 <= parent < i and kind in (1, 2) and side in (0, 1) and 0 <= entry < wide
            if not inner and not (kind == 0 and parent == -1 and 0 <= layer < len(a["low"])):
                raise Rejected(f"node {i} is malformed")
            if inner:
                self.children[parent].append(i)
            self._reached(i)
        for parent, pair in self.children.items():
            kinds = {(*nodes[i, 1:4].tolist(), float(a["cuts"][i])) for i in pair}
            if len(pair) != 2 or len(kinds) != 1 or set(nodes[pair, 4].tolist()) != {0, 1}:
                raise Rejected(f"the children of node {parent} do not cover it")
        self._owned()

    def _owned(self) -> None:
        """Which slopes, multipliers and rows belong to what; all numbers within range."""
        a, count = self.a, len(self.a["nodes"])
        if ((a["bounds"] < 0) | (a["bounds"] >= count)).any():
            raise Rejected("a bound set belongs to no node")
        filled, self.rows = 0, []
        for i, (node, number, bound) in enumerate(a["refutations"].tolist()):
            known = 0 <= node < count and 0 <= number < len(self.ways)
            way = self.ways[number] if known else None
            if way is None or not 0 <= bound < len(a["bounds"]) or not self._holds(bound, node):
                raise Rejected(f"refutation {i} is malformed")
            self.rows.append(a["multipliers"][filled : filled + len(way.d)])
            filled += len(way.d)
        if filled != a["multipliers"].size:
            raise Rejected("the proof has another number of multipliers than of rows")
        for owner, index, target, layer, start, rows in a["alphas"].tolist():
            limit = len(a["bounds"] if owner == 0 else a["refutations"])
            most = target if owner == 0 else len(self.sizes)
            good = owner in (0, 1) and 0 <= index < limit and 0 <= layer < most <= len(self.sizes)
            size = self.sizes[layer] if good else 0
            allowed = {1} if owner else {1, 2, 2 * self.sizes[target]} if good else set()
            if rows not in allowed or start < 0 or start + rows * size > a["alpha_values"].size:
                raise Rejected("slopes are malformed")
            values = a["alpha_values"][start : start + rows * size].reshape(rows, size)
            self.slopes[owner, index][target, layer] = values
        for (index, layer, entry), value in zip(a["betas"].tolist(), a["beta_values"], strict=True):
            self.betas[index].append((layer, entry, float(value)))

    def _holds(self, bound: int, node: int) -> bool:
        """Whether a bound set was computed at a node or above it."""
        at = int(self.a["bounds"][bound])
        while 0 <= at < node:
            node = int(self.a["nodes"][node, 0])
        return node == at

    def _reached(self, i: int) -> None:
        """The box and the splits of a node."""
        parent, kind, layer, entry, side = self.a["nodes"][i].tolist()
        if kind == 0:
            self.box.append((self.a["low"][layer], self.a["high"][layer]))
            self.splits.append({})
            return
        (low, high), splits, cut = self.box[parent], self.splits[parent], self.a["cuts"][i]
        if kind == 2:
            if (layer, entry) in splits:
                raise Rejected("an entry is split twice on one path")
            splits = {**splits, (layer, entry): 1 if side else -1}
        elif side:
            low = np.where(np.arange(len(low)) == entry, np.maximum(low, cut), low)
        else:
            high = np.where(np.arange(len(low)) == entry, np.minimum(high, cut), high)
        self.box.append((low, high))
        self.splits.append(splits)

    def _region(self, nodes: list[int]) -> Region:
        low, high = (np.array([self.box[node][end] for node in nodes]) for end in (0, 1))
        signs: dict[int, Array] = {}
        for i, node in enumerate(nodes):
            for (layer, entry), sign in self.splits[node].items():
                if layer not in signs:
                    signs[layer] = np.zeros((len(nodes), self.sizes[layer]))
                signs[layer][i, entry] = sign
        return Region(low, high, signs)

    # Bound sets.

    def _set_kind(self, i: int) -> Any:
        keys = sorted((k, len(v)) for k, v in self.slopes[0, i].items())
        return self.a["modes"][i].tobytes(), tuple(keys)

    def _refutation_kind(self, i: int) -> Any:
        return int(self.a["refutations"][i, 1]), tuple(sorted(self.slopes[1, i]))

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
        slopes = {key: np.stack([self.slopes[0, i][key] for i in group])
                  for key in self.slopes[0, group[0]]}  # fmt: skip
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
        factors = np.stack([self.rows[i] for i in group])[:, None]
        slopes = {layer: np.stack([self.slopes[1, i][-1, layer] for i in group])
                  for _, layer in self.slopes[1, group[0]]}  # fmt: skip
        betas = {layer: np.zeros_like(sign) for layer, sign in region.signs.items()}
        for place, i in enumerate(group):
            for layer, entry, value in self.betas[i]:
                if layer not in betas or not 0 <= entry < betas[layer].shape[1]:
                    raise Rejected("a beta belongs to no split")
                if region.signs[layer][place, entry] == 0:
                    raise Rejected("a beta belongs to no split")
                betas[layer][place, entry] = value
        lower = bounds.combined(self.net.output, way, factors, slopes, betas)
        return np.asarray((lower[:, 0] > 0) | region.empty())

    def _covered(self, way: Alternative, refuted: set[int]) -> bool:
        """Whether some tree contains an alternative and refutes it on every path."""
        done: dict[int, bool] = {}
        for node in range(len(self.a["nodes"]) - 1, -1, -1):
            pair = self.children.get(node, [])
            done[node] = node in refuted or (bool(pair) and all(done[child] for child in pair))
        for node in np.flatnonzero(self.a["nodes"][:, 1] == 0).tolist():
            tree = int(self.a["nodes"][node, 2])
            inside = (self.a["low"][tree] <= way.low) & (self.a["high"][tree] >= way.high)
            if done[node] and inside.all():
                return True
        return False


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
