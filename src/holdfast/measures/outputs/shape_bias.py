"""By shape or by texture? Decisions on images whose cues conflict, and whether a bias explains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs, logits
from holdfast.core.records import Reading
from holdfast.run.reading import proportion


def coarse(outputs: Tensor, groups: Tensor) -> Tensor:
    """`(B, G)` logarithms of the mean probability of the fine classes in each coarse one.

    Args:
        outputs: `(B, K)` logits of fine classes.
        groups: `(K,)` the coarse class of each, or -1 for none.
    """
    share = outputs.double().softmax(1)
    count = int(groups.max()) + 1
    member = torch.nn.functional.one_hot(groups.clamp(min=0), count) * (groups >= 0)[:, None]
    member = member.to(share)
    return (share @ member / member.sum(0).clamp(min=1)).clamp(min=1e-300).log()


@register("measure", cites="biases-vs-generalization")
def shape_bias(
    decisions: Outputs,
    shape: Tensor,
    texture: Tensor,
    *,
    alpha: float = 0.05,
    name: str = "shape-bias",
) -> tuple[Reading, ...]:
    """Share of decisions by shape, among those by shape or texture, where the two conflict.

    Images whose cues agree say nothing and are left out, and so are decisions for a third class;
    how many are decided by either cue is reported apart, for a bias that rests on few decisions
    is worth little.

    Args:
        decisions: logits `(B, K)` on the images.
        shape: `(B,)` class of the shape of each.
        texture: `(B,)` class of its texture.
        alpha: each interval covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Returns:
        The bias, and the share of conflicting images that are decided by shape, and by texture.

    Raises:
        ShapeError: if the three do not have the same rows.
    """
    z = logits(decisions).detach()
    if z.dim() != 2 or not len(z) == len(shape) == len(texture):
        raise ShapeError(
            f"{name}: needs decisions (B, K) with a shape and a texture each, got "
            f"{tuple(z.shape)} for {len(shape)} shapes, {len(texture)} textures",
            fix="Give one shape and one texture per row.",
        )
    apart = (shape != texture) & z.isfinite().all(1).to(shape.device)
    said = z.argmax(1).to(shape.device)[apart]
    by_shape, by_texture = (int((said == c[apart]).sum()) for c in (shape, texture))
    n = int(apart.sum())
    pairs = (("", by_shape, by_shape + by_texture), (".shape", by_shape, n),
             (".texture", by_texture, n))  # fmt: skip
    return tuple(
        proportion(f"{name}{word}", k, total, better="neither", alpha=alpha)
        for word, k, total in pairs
    )


@dataclass(frozen=True)
class Correlation:
    """How a score goes with a bias over a population of models.

    Args:
        bias: position of the bias.
        score: position of the score.
        pearson: correlation of the values.
        spearman: of their ranks.
        chance: p-value of the latter.
        partial: correlation of the ranks with those of a control held fixed.
    """

    bias: int
    score: int
    pearson: float
    spearman: float
    chance: float
    partial: float


def bias_correlation(
    biases: Tensor, scores: Tensor, control: Tensor | None = None
) -> tuple[Correlation, ...]:
    """Correlation of every bias with every score over models, with what accuracy explains removed.

    A bias explains generalisation only where the sign and the strength stay the same within
    groups of models that were trained alike: ask for each group apart.

    Args:
        biases: `(m, a)`, one row per model.
        scores: `(m, b)`.
        control: `(m,)`, such as the accuracy on usual data; none removes nothing.

    Raises:
        ShapeError: for less than four models, or other numbers of rows.
    """
    from scipy.stats import pearsonr, spearmanr

    if len(biases) != len(scores) or len(biases) < 4:
        raise ShapeError(
            "bias_correlation: needs the same four models or more in both tables, got "
            f"{len(biases)} and {len(scores)}",
            fix="Give a row per model, the same four or more in both.",
        )
    found = []
    for i in range(biases.shape[1]):
        for j in range(scores.shape[1]):
            a, b = biases[:, i].numpy(), scores[:, j].numpy()
            rank, plain = spearmanr(a, b), float(pearsonr(a, b).statistic)
            value = float(rank.statistic)
            left = value
            if control is not None:
                ac, bc = (float(spearmanr(v, control.numpy()).statistic) for v in (a, b))
                left = (value - ac * bc) / max(((1 - ac**2) * (1 - bc**2)) ** 0.5, 1e-12)
            found.append(Correlation(i, j, plain, value, float(rank.pvalue), left))
    return tuple(found)
