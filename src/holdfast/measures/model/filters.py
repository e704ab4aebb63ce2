"""Are the filters of a convolutional net sparse, repetitive or random? Weights alone tell."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log2

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading

# Least entropy that n random filters reach, as fitted by the authors: scale, steepness, middle,
# offset of a logistic function of log2 n.
FIT = (1.2618047, 0.88767525, 2.30436435, -0.31050834)
REPETITIVE = 0.5


def kernels(model: nn.Module, side: int = 3) -> dict[str, Tensor]:
    """Weights `(out, in, k, k)` of the convolutions with kernels of a size, by name.

    Args:
        model: any module; its convolutions over two axes count.
        side: of the kernels, in pixels.
    """
    return {
        name: m.weight.detach()
        for name, m in model.named_modules()
        if isinstance(m, nn.Conv2d) and tuple(m.kernel_size) == (side, side)
    }


def flat(w: Tensor) -> Tensor:
    """`(out * in, k * k)` float64: one filter per row."""
    return w.reshape(-1, w.shape[-2] * w.shape[-1]).double()


def sparse(w: Tensor, share: float = 0.01) -> Tensor:
    """`(n,)` bool: filters of which every entry is below a share of the layer's largest."""
    rows = flat(w).abs()
    return (rows < share * rows.max()).all(1) | (rows == 0).all(1)


def variance_entropy(rows: Tensor) -> float:
    """Entropy, in decimal digits, of how the variance of filters is spread over directions.

    0 where all filters are one pattern times a number, and the logarithm of the entries where
    they point everywhere alike.

    Args:
        rows: `(n, k)` filters.
    """
    if len(rows) < 2:
        return 0.0
    power = torch.linalg.svdvals(rows - rows.mean(0)).square()
    total = float(power.sum())
    if total <= 1e-24:
        return 0.0
    parts = power / total
    parts = parts[parts > 1e-12]
    return abs(float(-(parts * parts.log10()).sum()))


def randomness_threshold(n: int) -> float:
    """The entropy that n independent normal filters of nine entries reach."""
    top, steep, middle, offset = FIT
    return top / (1 + exp(-steep * (log2(max(n, 1)) - middle))) + offset


def orthogonality(w: Tensor) -> float:
    """1 less the mean absolute cosine between the filters of different outputs."""
    rows = nn.functional.normalize(w.double().flatten(1), dim=1)
    n = len(rows)
    if n < 2:
        return 1.0
    between = (rows @ rows.T).abs()
    return 1 - float(between.sum() - between.diagonal().sum()) / (n * (n - 1))


@dataclass(frozen=True, eq=False)
class Layer:
    """Quality of the filters of one layer.

    Args:
        name: of the layer.
        count: filters.
        sparsity: share of them that are sparse.
        entropy: variance entropy over the threshold of as many random filters; of those that are
            not sparse. 1 and more looks random, below a half repetitive.
        orthogonality: of the outputs.
    """

    name: str
    count: int
    sparsity: float
    entropy: float
    orthogonality: float

    @property
    def flags(self) -> tuple[str, ...]:
        """Ways in which the layer is degenerate."""
        found = {
            "sparse": self.sparsity > REPETITIVE,
            "repetitive": self.entropy < REPETITIVE,
            "random": self.entropy >= 1,
        }
        return tuple(word for word, here in found.items() if here)


@dataclass(frozen=True, eq=False)
class Filters:
    """Quality of all filters of a net.

    Args:
        layers: in their order in the model.
        name: prefix of the readings.
    """

    layers: tuple[Layer, ...]
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Means over the layers, weighted by their filters, and the share of flagged layers."""
        total = sum(layer.count for layer in self.layers)
        means = {
            word: sum(getattr(layer, word) * layer.count for layer in self.layers) / total
            for word in ("sparsity", "entropy", "orthogonality")
        }
        flagged = sum(bool(layer.flags) for layer in self.layers) / len(self.layers)
        return tuple(
            Reading(name=f"{self.name}.{word}", value=v, low=v, high=v, n=total, bound="exact",
                    better="lower" if word in ("sparsity", "flagged") else "neither")
            for word, v in (means | {"flagged": flagged}).items()
        )  # fmt: skip

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `table`."""
        return tuple(
            {"layer": v.name, "filters": v.count, "sparse": v.sparsity, "entropy": v.entropy,
             "orthogonality": v.orthogonality, "flags": ", ".join(v.flags)}
            for v in self.layers
        )  # fmt: skip


@register("measure", cites="cnn-filter-db")
def filters(
    net: nn.Module, *, side: Count = 3, share: Inner = 0.01, name: str = "filters"
) -> Filters:
    """Sparsity, diversity and orthogonality of the filters of every convolution.

    Sparse filters are wasted, repetitive ones too; random ones show a layer that has not
    learned. The entropy is compared with that of as many random filters, which small layers
    cannot exceed either; the comparison was fitted for nine entries.

    Args:
        net: a model with convolutions.
        side: of the kernels that are looked at.
        share: of a layer's largest weight, below which all entries of a sparse filter lie.
        name: prefix of the readings.

    Raises:
        ConfigError: for a side below 1 or a share outside (0, 1).
        Unsupported: if there is no such convolution, or its weights are not finite.

    Cost: one singular value decomposition of nine columns per layer; no data.

    Unlike the paper, a direction without variance counts 0, not NaN.
    """
    inside("[1, inf]", name, side=side)
    inside("(0, 1)", name, share=share)
    found = []
    for layer, w in kernels(net, side).items():
        if not bool(w.isfinite().all()):
            raise Unsupported(
                f"{name}: weights of {layer} are not finite",
                fix="Load weights from before the training ran away: every number must be finite.",
            )
        thin = sparse(w, share)
        kept = flat(w)[~thin]
        entropy = variance_entropy(kept) / max(randomness_threshold(len(kept)), 1e-3)
        thinness = float(thin.double().mean())
        found.append(Layer(layer, len(thin), thinness, entropy, orthogonality(w)))
    if not found:
        raise Unsupported(
            f"{name}: the model has no convolution of {side} by {side} pixels",
            fix=f"Give side= the size of the kernels that the model has, such as side={side + 2}.",
        )
    return Filters(tuple(found), name)
