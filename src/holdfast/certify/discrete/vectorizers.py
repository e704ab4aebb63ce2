"""How far substitutions move text vectors: concatenation, mean, TF-IDF, paragraph vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError
from holdfast.threats.tokens import Substitutions


def _per_place(
    cost: Callable[[Tensor, Tensor], Tensor], ids: Tensor, threat: Substitutions
) -> Tensor:
    """`(B, R)`: the R = edits largest of what a substitution at each place can do, largest first.

    Args:
        cost: words `(U,)` and what is offered in the place of each `(U, C)` -> what each choice
            does `(U, C)`.
        ids: `(B, L)`.
        threat: its edits, and what it offers.
    """
    words, back = ids.unique(return_inverse=True)
    if not len(words):
        return torch.zeros(*ids.shape, dtype=torch.float64, device=ids.device)
    each = cost(words, threat.choices(words[:, None])[:, 0]).amax(1)
    found: Tensor = each[back].sort(1, descending=True).values[:, : threat.edits]
    return found


def _distances(vectors: Tensor, words: Tensor, offered: Tensor) -> Tensor:
    """`(U, C)` Euclidean distances of words' vectors to those offered in their place."""
    rows = [
        torch.linalg.vector_norm(vectors[own].double() - vectors[w].double(), dim=1)
        for w, own in zip(words, offered, strict=True)
    ]
    return torch.stack(rows)


def concat_shift(vectors: Tensor, ids: Tensor, threat: Substitutions) -> Tensor:
    """`(B,)`: the largest Euclidean move of the vectors of all words, one behind another. Exact.

    Places do not mix, so squares add up: the move is at most `D sqrt(k)` with D the largest
    distance of two vectors, whatever the length of the text. Positions may be added to the vectors.

    Args:
        vectors: `(V, D)`.
        ids: `(B, L)`.
        threat: which words may replace which, and how many at once.
    """
    far = _per_place(partial(_distances, vectors), ids, threat)
    return far.square().sum(1).sqrt()


def mean_shift(vectors: Tensor, ids: Tensor, threat: Substitutions) -> Tensor:
    """`(B,)`: a bound of the move of the mean vector: the sum of k moves over the length.

    Args:
        vectors: `(V, D)`.
        ids: `(B, L)`.
        threat: as of `concat_shift`.
    """
    far = _per_place(partial(_distances, vectors), ids, threat)
    return far.sum(1) / max(1, ids.shape[1])


def tfidf(weights: Tensor, ids: Tensor, *, normalised: bool = True) -> Tensor:
    """`(B, V)` counts of words times their weights, of Euclidean length one if normalised.

    Args:
        weights: `(V,)` positive, as inverse document frequencies fixed beforehand are.
        ids: `(B, L)`.
        normalised: whether the length is divided out.
    """
    counts = torch.zeros(len(ids), len(weights), dtype=torch.float64, device=ids.device)
    x = counts.scatter_add_(1, ids, torch.ones_like(ids, dtype=torch.float64)) * weights.double()
    if not normalised:
        return x
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.clamp(min=1e-300)


def tfidf_shift(
    weights: Tensor, ids: Tensor, threat: Substitutions, *, normalised: bool = True
) -> Tensor:
    """`(B,)`: a bound of the Euclidean move of TF-IDF vectors.

    A substitution takes `v_w` off one coordinate and adds `v_w'` to another: it moves the plain
    vector by `sqrt(v_w^2 + v_w'^2) <= sqrt(2) v_max`, attained k times over where one word is
    replaced by one other. Dividing by lengths at most doubles the move relative to the mean of
    both lengths (Dunkl and Williams); vectors without negative coordinates are never further apart
    than sqrt(2). Since the length of a text of T words is at least `v_min T / sqrt(distinct)`,
    long texts are moved less.

    Args:
        weights: `(V,)` positive.
        ids: `(B, L)`.
        threat: as of `concat_shift`.
        normalised: whether vectors have length one.

    Raises:
        ConfigError: for weights that are not positive.
    """
    v = weights.double()
    if not bool((v > 0).all()) or not bool(v.isfinite().all()):
        raise ConfigError(
            "tfidf_shift: weights must be positive and finite",
            fix="Clamp the weights to a small positive number first: weights.clamp(min=1e-6).",
        )

    def cost(words: Tensor, offered: Tensor) -> Tensor:
        far = (v[words][:, None].square() + v[offered].square()).sqrt()
        return far.masked_fill(offered == words[:, None], 0.0)

    move = _per_place(cost, ids, threat).sum(1)
    if not normalised:
        return move
    length = torch.linalg.vector_norm(tfidf(v, ids, normalised=False), dim=1)
    both = length + (length - move).clamp(min=0)
    found: Tensor = (2 * move / both.clamp(min=1e-300)).clamp(max=sqrt(2))
    return found


def paragraph_shift(
    gradient: float, convexity: float, length: int, edits: int, *, window: int = 0
) -> float:
    """A bound of the move of a paragraph vector that minimises a mean loss over its words.

    Each substitution changes `2 window + 1` of the `length` terms, and each by a gradient of at
    most `gradient`; a strongly convex objective answers by at most that over its convexity.

    Args:
        gradient: largest change of the gradient of one term: for PV-DBOW the largest distance of
            two output vectors, for PV-DM twice the largest norm of a gradient.
        convexity: of the objective, the weight of its ridge or more.
        length: words of the text.
        edits: words replaced.
        window: words on each side that a word predicts (PV-DM); 0 for PV-DBOW.

    Raises:
        ConfigError: for values out of range.
    """
    if gradient < 0 or convexity <= 0 or length < 1 or edits < 0 or window < 0:
        raise ConfigError(
            f"paragraph_shift: needs gradient, edits and window >= 0, convexity > 0 and "
            f"length >= 1, got {gradient}, {edits}, {window}, {convexity} and {length}",
            fix="Give gradient=1.0, edits=1, window=5, convexity=1.0 and the length of the text.",
        )
    terms = min(length, (2 * window + 1) * edits)
    return gradient * terms / (convexity * length)


def paragraph_vector(outputs: Tensor, ids: Tensor, ridge: float, *, steps: int = 50) -> Tensor:
    """`(B, D)`: the PV-DBOW vector of each text, by Newton's method.

    It minimises the mean of `-log softmax(R q)[word]` over words plus `ridge / 2 |q|^2`, which
    is strongly convex, so there is one minimum and it depends on counts alone.

    Args:
        outputs: `(V, D)` R, fixed beforehand.
        ids: `(B, L)`.
        ridge: weight of the square, > 0.
        steps: at most; steps are halved until the objective falls.
    """
    r = outputs.double()
    counts = tfidf(torch.ones(len(r), dtype=torch.float64), ids, normalised=False)
    share = counts / counts.sum(1, keepdim=True)
    q = r.new_zeros(len(ids), r.shape[1])
    eye = ridge * torch.eye(r.shape[1], dtype=r.dtype, device=r.device)

    def value(at: Tensor) -> Tensor:
        return -(share * (at @ r.T).log_softmax(1)).sum(1) + ridge / 2 * at.square().sum(1)

    for _ in range(steps):
        p = (q @ r.T).softmax(1)
        slope = (p - share) @ r + ridge * q
        if not len(q) or float(slope.abs().amax()) < 1e-13:
            break
        mean = p @ r
        bend = torch.einsum("bv,vd,ve->bde", p, r, r) - mean[:, :, None] * mean[:, None] + eye
        move = torch.linalg.solve(bend, slope)
        size = torch.ones(len(q), 1, dtype=r.dtype, device=r.device)
        for _ in range(40):
            worse = value(q - size * move) > value(q) + 1e-15
            if not bool(worse.any()):
                break
            size = torch.where(worse[:, None], size / 2, size)
        q = q - size * move
    return q
