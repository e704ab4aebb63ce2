"""Whether confidence can be believed: gaps between confidence and accuracy, bin by bin."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs
from holdfast.measures.outputs.bins import Norm
from holdfast.measures.outputs.labelled import labelled
from holdfast.measures.outputs.reliability import Binning, Of, Reliability, Scheme, reliability


@register("measure", cites="calibration-baseline")
def ece(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: int = 15,
    scheme: Scheme = "width",
    norm: Norm = "l1",
    of: Of = "answer",
    debias: bool = False,
    threshold: float = 0.0,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.ece",
) -> Reliability:
    """Expected calibration error: mean gap between confidence and accuracy in bins.

    Bins are closed on the right; each counts with its share of the rows and its own mean
    confidence. With one bin it is the gap between mean confidence and accuracy. The variants of
    the literature are settings: `norm="max"` is the maximum calibration error, `norm="l2"` the
    root mean square one, `of="classes"` the classwise one, `scheme="mass"` the adaptive one, both
    together with a threshold the thresholded adaptive one.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: number of bins.
        scheme: bins of equal width, or of equally many rows (`mass`).
        norm: mean of the gaps, root of the mean of their squares, or their maximum.
        of: the probability of the answer, or that of each class in turn, averaged over classes.
        debias: take off what noise adds to squared gaps (`l2` only).
        threshold: probabilities of classes below it do not count.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for settings out of range.
    """
    how = Binning(bins, scheme, norm, of, debias, threshold)
    return reliability(labelled(outputs, y), how, draws=draws, alpha=alpha, seed=seed, name=name)


@register("measure", cites="calibration-baseline")
def adaptive_ece(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: int = 15,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.adaptive-ece",
) -> Reliability:
    """Expected calibration error over bins with equally many rows: `ece` by `mass`.

    Equal mass resolves the crowded end of the confidences, where equal width puts nearly all
    rows of a good classifier into one bin.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: number of bins.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for less than one bin or draw.
    """
    how = Binning(bins, "mass")
    return reliability(labelled(outputs, y), how, draws=draws, alpha=alpha, seed=seed, name=name)
