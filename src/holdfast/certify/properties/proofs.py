"""Proofs that a checker can verify: the split tree of a search and what refutes its leaves.

`docs/proofs.md` says what the file means. A search fills in a `Proof` while it runs; nothing of
it is trusted by the checker, which recomputes every bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_LINEAR = 1
_ROOT, _INPUT, _RELU = 0, 1, 2
_SET, _REFUTATION = 0, 1

Array = np.ndarray[Any, np.dtype[Any]]
Slopes = Mapping[int, Tensor]  # by the layer they belong to: (rows, entries) or (entries,)


@dataclass(eq=False)
class Proof:
    """A proof in the making; all indices are those of `docs/proofs.md`.

    Args:
        layers: how many ReLUs the network has.
    """

    layers: int
    low: list[Tensor] = field(default_factory=list)
    high: list[Tensor] = field(default_factory=list)
    nodes: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    sets: list[int] = field(default_factory=list)
    modes: list[tuple[int, ...]] = field(default_factory=list)
    refutations: list[tuple[int, int, int]] = field(default_factory=list)
    multipliers: list[Tensor] = field(default_factory=list)
    alphas: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    alpha_values: list[Tensor] = field(default_factory=list)
    betas: list[tuple[int, int, int]] = field(default_factory=list)
    beta_values: list[float] = field(default_factory=list)
    _filled: int = 0

    def root(self, low: Tensor, high: Tensor) -> int:
        """A new tree over a box; the node of its root."""
        self.low.append(_flat(low))
        self.high.append(_flat(high))
        return self._node((-1, _ROOT, len(self.low) - 1, 0, 0), 0.0)

    def split_input(self, node: int, entry: int, cut: float) -> tuple[int, int]:
        """Split a node by an input: the nodes with `x <= cut` and with `x >= cut`."""
        return (
            self._node((node, _INPUT, 0, entry, 0), cut),
            self._node((node, _INPUT, 0, entry, 1), cut),
        )

    def split_relu(self, node: int, layer: int, entry: int) -> tuple[int, int]:
        """Split a node by a ReLU: the nodes with `z <= 0` and with `z >= 0`."""
        return (
            self._node((node, _RELU, layer, entry, 0), 0.0),
            self._node((node, _RELU, layer, entry, 1), 0.0),
        )

    def bounds(self, node: int, *, slopes: Mapping[int, Slopes] | None = None) -> int:
        """A bound set at a node, of linear bounds.

        Args:
            node: where it is computed.
            slopes: by the layer that is bounded; what is left out the checker chooses.
        """
        self.sets.append(node)
        self.modes.append((_LINEAR,) * self.layers)
        for target, own in (slopes or {}).items():
            self._slopes(_SET, len(self.sets) - 1, target, own)
        return len(self.sets) - 1

    def refute(
        self,
        node: int,
        number: int,
        bounds: int,
        *,
        multipliers: Tensor,
        slopes: Slopes | None = None,
        betas: Mapping[tuple[int, int], float] | None = None,
    ) -> None:
        """An alternative is impossible at a node.

        Args:
            node: where.
            number: of the alternative (`Conjunction.number`).
            bounds: the bound set that is used.
            multipliers: `(r,)` factors of its rows, not negative.
            slopes: by layer, `(entries,)`; what is left out the checker chooses.
            betas: multipliers of splits on the path, by layer and entry.
        """
        self.refutations.append((node, number, bounds))
        self.multipliers.append(_flat(multipliers))
        self._slopes(_REFUTATION, len(self.refutations) - 1, -1, slopes or {})
        for (layer, entry), value in (betas or {}).items():
            self.betas.append((len(self.refutations) - 1, layer, entry))
            self.beta_values.append(float(value))

    def save(self, path: str | Path, *, network: str, property: str) -> None:
        """Write the file.

        Args:
            path: where to, with the suffix `.npz`.
            network: SHA-256 of the ONNX file, unpacked.
            property: SHA-256 of the VNN-LIB file, unpacked.
        """
        words = {"format": "holdfast-proof", "version": 1, "network": network, "property": property}
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                header=np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
                low=_stacked(self.low), high=_stacked(self.high),
                nodes=_table(self.nodes, 5), cuts=np.array(self.cuts, dtype=np.float64),
                bounds=np.array(self.sets, dtype=np.int64), modes=_table(self.modes, self.layers),
                refutations=_table(self.refutations, 3), multipliers=_joined(self.multipliers),
                alphas=_table(self.alphas, 6), alpha_values=_joined(self.alpha_values),
                betas=_table(self.betas, 3),
                beta_values=np.array(self.beta_values, dtype=np.float64),
            )  # fmt: skip

    @classmethod
    def joined(cls, proofs: Sequence[tuple[Proof, Sequence[int]]]) -> Proof:
        """Several proofs as one.

        Args:
            proofs: each with the numbers that its alternatives 0, 1, ... have in the property.
        """
        total = cls(proofs[0][0].layers if proofs else 0)
        for proof, numbers in proofs:
            trees, nodes, sets = len(total.low), len(total.nodes), len(total.sets)
            found, filled = len(total.refutations), total._filled
            total.low += proof.low
            total.high += proof.high
            for parent, kind, layer, entry, side in proof.nodes:
                above = parent + nodes if parent >= 0 else -1
                own = layer + trees if kind == _ROOT else layer
                total.nodes.append((above, kind, own, entry, side))
            total.cuts += proof.cuts
            total.sets += [node + nodes for node in proof.sets]
            total.modes += proof.modes
            total.refutations += [
                (a + nodes, numbers[k], b + sets) for a, k, b in proof.refutations
            ]
            total.multipliers += proof.multipliers
            for owner, index, target, layer, start, rows in proof.alphas:
                moved = index + (sets if owner == _SET else found)
                total.alphas.append((owner, moved, target, layer, start + filled, rows))
            total.alpha_values += proof.alpha_values
            total.betas += [(a + found, layer, entry) for a, layer, entry in proof.betas]
            total.beta_values += proof.beta_values
            total._filled += proof._filled
        return total

    def _node(self, row: tuple[int, int, int, int, int], cut: float) -> int:
        self.nodes.append(row)
        self.cuts.append(float(cut))
        return len(self.nodes) - 1

    def _slopes(self, owner: int, index: int, target: int, slopes: Slopes) -> None:
        for layer, values in slopes.items():
            rows = len(values) if values.dim() > 1 else 1
            self.alphas.append((owner, index, target, layer, self._filled, rows))
            self.alpha_values.append(_flat(values).clamp(0, 1))
            self._filled += values.numel()


def _flat(values: Tensor) -> Tensor:
    return values.detach().double().cpu().reshape(-1)


def _stacked(rows: list[Tensor]) -> Array:
    return torch.stack(rows).numpy() if rows else np.zeros((0, 0))


def _joined(parts: list[Tensor]) -> Array:
    return torch.cat(parts).numpy() if parts else np.zeros(0)


def _table(
    rows: Sequence[Sequence[int]], width: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)
