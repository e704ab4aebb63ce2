"""What the file of a proof says, checked for its form; nothing is computed here."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.certify.checker.rejected import MAX_BYTES, Rejected
from holdfast.certify.checker.specification import Alternative

ARRAYS = {
    "header": np.uint8, "low": np.float64, "high": np.float64, "nodes": np.int64,
    "cuts": np.float64, "bounds": np.int64, "modes": np.int64, "refutations": np.int64,
    "multipliers": np.float64, "alphas": np.int64, "alpha_values": np.float64,
    "betas": np.int64, "beta_values": np.float64,
}  # fmt: skip
Array = np.ndarray[Any, Any]


def loaded(path: Path) -> dict[str, Array]:
    """The arrays of a proof, all of them of the right type and finite."""
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


class Form:
    """The trees of a proof, and to what its numbers belong.

    Args:
        arrays: of the proof.
        inputs: of the network.
        sizes: of what goes into its ReLUs.
        ways: the alternatives; None for empty ones.

    Raises:
        Rejected: where something is malformed.
    """

    def __init__(
        self, arrays: dict[str, Array], inputs: int, sizes: Sequence[int],
        ways: Sequence[Alternative | None],
    ) -> None:  # fmt: skip
        self.a, self.inputs, self.sizes, self.ways = arrays, inputs, sizes, ways
        self.slopes: dict[tuple[int, int], dict[tuple[int, int], Array]] = defaultdict(dict)
        self.betas: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
        self.children: dict[int, list[int]] = defaultdict(list)
        self.box: list[tuple[Array, Array]] = []
        self.splits: list[dict[tuple[int, int], int]] = []
        self._shaped()
        self._grown()
        self._owned()

    def _shaped(self) -> None:
        """Arrays of the right shapes, with numbers within range."""
        a, inputs, layers, count = self.a, self.inputs, len(self.sizes), len(self.a["nodes"])
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

    def _grown(self) -> None:
        """The trees, in which the children of a node cover it."""
        a, inputs, layers, nodes = self.a, self.inputs, len(self.sizes), self.a["nodes"]
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

    def covers(self, way: Alternative, refuted: set[int]) -> bool:
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
