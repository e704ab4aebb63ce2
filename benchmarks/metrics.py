"""Numbers about outputs: the same as scikit-learn's, SciPy's or the bare formula's, and not slower.

Run `python benchmarks/metrics.py [ROWS]`. It rewrites its section of `docs/benchmarks.md`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import sklearn.metrics as sk
import torch
from page import write
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from holdfast.core.catalog import build
from holdfast.core.data import Batches
from holdfast.measures.data.two_sample_tests import kolmogorov_smirnov
from holdfast.measures.outputs.portfolio import log_loss
from holdfast.measures.outputs.reliability import Binning
from holdfast.ops.ranking import auroc, average_precision, false_share
from holdfast.ops.two_samples import bandwidth, mmd2

ROWS, CLASSES, WIDTH, BINS, REPEATS = 20_000, 10, 32, 15, 15
Pair = tuple[Callable[[], object], Callable[[], object]]


def ece_by_formula(z: np.ndarray, y: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, closed on the right."""
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    sure, hit = p.max(1), p.argmax(1) == y
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    inside = [place == k for k in range(BINS)]
    return sum(abs(sure[b].sum() - hit[b].sum()) for b in inside) / len(y)


def ours_ece(z: Tensor, y: Tensor) -> float:
    """The same by the mechanism behind every binned calibration error."""
    binning = Binning(bins=BINS)
    return binning.error(*binning.pairs(z, y))


def fpr95(low: np.ndarray, high: np.ndarray) -> float:
    """From scikit-learn's curve: the false share at the first level that keeps 95 %."""
    y = np.r_[np.zeros(len(low)), np.ones(len(high))]
    false, true, _ = sk.roc_curve(y, np.r_[low, high], drop_intermediate=False)
    return float(false[np.searchsorted(true, 0.95 - 1e-12)])


def mmd_by_formula(a: np.ndarray, b: np.ndarray, width: float) -> float:
    """Unbiased squared discrepancy with a Gaussian kernel."""
    inner = 0.0
    for each in (a, b):
        n = len(each)
        kernel = np.exp(-cdist(each, each, "sqeuclidean") / (2 * width**2))
        inner += (kernel.sum() - n) / (n * (n - 1))
    across: float = np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2)).mean()
    return inner - 2 * across


def detectors(g: torch.Generator, n: int) -> dict[str, Pair]:
    """Distances to what was trusted; the features are the rows themselves."""
    known = torch.randn(2000, WIDTH, generator=g, dtype=torch.float64)
    y = torch.arange(2000) % CLASSES
    known[torch.arange(2000), y] += 3
    x = torch.randn(n // 4, WIDTH, generator=g, dtype=torch.float64)
    trusted, model = Batches(x=known, y=y), nn.Identity()
    near = build("detector:knn", layer="logits").fit(model, trusted)
    far = build("detector:mahalanobis", layer="logits", shrinkage=1e-3).fit(model, trusted)
    a, b, t = known.numpy(), x.numpy(), y.numpy()
    means = np.stack([a[t == k].mean(0) for k in range(CLASSES)])
    rest = a - means[t]
    spread = rest.T @ rest / len(rest)
    inverse = np.linalg.inv(spread + 1e-3 * np.diag(spread).mean() * np.eye(WIDTH))
    unit = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(
        a / np.linalg.norm(a, axis=1, keepdims=True)
    )

    def by_library() -> np.ndarray:
        found: np.ndarray = unit.kneighbors(b / np.linalg.norm(b, axis=1, keepdims=True))[0][:, -1]
        return found

    def by_formula() -> np.ndarray:
        gaps = b[:, None] - means
        found: np.ndarray = np.einsum("nkd,de,nke->nk", gaps, inverse, gaps, optimize=True).min(1)
        return found

    return {
        "KNN score (scikit-learn)": (lambda: near(x), by_library),
        "Mahalanobis score (formula)": (lambda: far(x), by_formula),
    }


def pairs(n: int) -> dict[str, Pair]:
    """Our number and the oracle's, on the same rows."""
    g = torch.Generator().manual_seed(0)
    low = torch.randn(n, generator=g, dtype=torch.float64)
    high = torch.randn(n // 2, generator=g, dtype=torch.float64) + 1
    z = 3 * torch.randn(n, CLASSES, generator=g, dtype=torch.float64)
    y = torch.where(torch.rand(n, generator=g) < 0.6, z.argmax(1), torch.arange(n) % CLASSES)
    a, b, zn, yn = low.numpy(), high.numpy(), z.numpy(), y.numpy()
    p, truth, scores = z.softmax(1), np.r_[np.zeros(n), np.ones(n // 2)], np.r_[a, b]
    few = torch.randn(1, 400, 8, generator=g, dtype=torch.float64)
    other = torch.randn(1, 400, 8, generator=g, dtype=torch.float64) + 0.2
    width = bandwidth(few)
    left, right = few[0].numpy(), other[0].numpy()
    return {
        "AUROC (scikit-learn)": (lambda: auroc(low, high), lambda: sk.roc_auc_score(truth, scores)),
        "AUPR (scikit-learn)": (
            lambda: average_precision(low, high), lambda: sk.average_precision_score(truth, scores)
        ),
        "FPR95 (scikit-learn)": (lambda: false_share(low, high), lambda: fpr95(a, b)),
        "ECE (formula)": (lambda: ours_ece(z, y), lambda: ece_by_formula(zn, yn)),
        "log loss (scikit-learn)": (lambda: log_loss(p, y), lambda: sk.log_loss(yn, p.numpy())),
        "Kolmogorov-Smirnov, 8 columns (SciPy)": (
            lambda: kolmogorov_smirnov(few[0], other[0]).statistic,
            lambda: np.array([ks_2samp(left[:, j], right[:, j]).statistic for j in range(8)]),
        ),
        "MMD of 400 and 400 rows (formula)": (
            lambda: mmd2(few, other, width=width), lambda: mmd_by_formula(left, right, float(width))
        ),
        **detectors(g, n),
    }  # fmt: skip


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Compare, time by turns, write the section."""
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    lines = [
        "| number | difference | ours, ms | oracle, ms | oracle / ours |",
        "|---|---|---|---|---|",
    ]
    for name, (ours, theirs) in pairs(n).items():
        gap = np.abs(np.asarray(ours()) - np.asarray(theirs())).max()
        times = [(seconds(ours), seconds(theirs)) for _ in range(REPEATS)]
        own, other = (1000 * min(t) for t in zip(*times, strict=True))
        lines.append(f"| {name} | {gap:.1e} | {own:.2f} | {other:.2f} | {other / own:.1f} |")
    write(
        "Metrics",
        f"{n:,} rows (half as many foreign), {CLASSES} classes, float64, one thread; least of "
        f"{REPEATS} calls by turns, CPU milliseconds. Difference: the largest between the two.\n\n"
        + "\n".join(lines),
    )


if __name__ == "__main__":
    main()
