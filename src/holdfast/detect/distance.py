"""Detectors that compare features with those of trusted rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.kinds import Detector, Model, Score
from holdfast.detect.features import LAST, distrust, features, trusted_features
from holdfast.ops.batch import Inputs

FEW = 128  # rows that are compared with all known ones at a time


def _direction(features: Tensor) -> Tensor:
    length: Tensor = features.norm(dim=1, keepdim=True)
    return features / length.clamp(min=1e-30)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Distance to the k-th nearest of known directions.

    Args:
        model: whose features are compared.
        layer: where they are taken.
        known: `(n, D)` features of length one.
        k: which neighbour counts.
    """

    model: Model
    layer: str
    known: Tensor
    k: int

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        own = _direction(features(self.model, x, self.layer))
        distance = (2 - 2 * self._nearest(own)).clamp(min=0).sqrt()
        return torch.where(own.isfinite().all(1), distrust(distance), torch.inf)

    def _nearest(self, own: Tensor) -> Tensor:
        """`(B,)`: the k-th largest cosine, by parts of rows whose cosines share one place."""
        room = None if own.requires_grad else own.new_empty(min(FEW, len(own)), len(self.known))
        found = []
        for part in own.split(FEW):
            cosine = torch.mm(part, self.known.T, out=None if room is None else room[: len(part)])
            found.append(cosine.topk(self.k, dim=1, sorted=False).values.amin(1))
        return torch.cat(found)


@register("detector", cites="ood-scores")
@settings
class KNN(Detector):
    """Distance to the k-th nearest trusted row, between features scaled to length one.

    It supposes nothing about the shape of the trusted features; the scaling takes out the
    length, which grows with contrast rather than with strangeness.

    Cost: one forward pass per row; memory for all trusted features.

    Args:
        neighbours: which neighbour counts; at most the number of trusted rows.
        layer: `penultimate`, `logits`, or the name of a module.
    """

    neighbours: Count = 10
    layer: str = LAST

    def fit(self, model: Model, trusted: Batches) -> Score:
        known, _ = trusted_features(model, trusted, self.layer)
        return Neighbours(model, self.layer, _direction(known), min(self.neighbours, len(known)))


@dataclass(frozen=True, eq=False)
class ClassDistance:
    """Squared distance to the nearest class mean, in units of the shared covariance.

    Args:
        model: whose features are compared.
        layer: where they are taken.
        means: `(K, D)`.
        root: `(D, D)`, inverse of the Cholesky factor of the covariance.
        whole: mean and such a root of all rows, whose distance is taken off.
    """

    model: Model
    layer: str
    means: Tensor
    root: Tensor
    whole: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        found = features(self.model, x, self.layer)
        gap = (found @ self.root.T)[:, None] - self.means @ self.root.T
        score = gap.square().sum(2).amin(1)
        if self.whole is not None:
            mean, root = self.whole
            score = score - ((found - mean) @ root.T).square().sum(1)
        return torch.where(found.isfinite().all(1), distrust(score), torch.inf)


def _root(rest: Tensor, shrinkage: float) -> Tensor:
    """Inverse of the Cholesky factor of the covariance of centred rows."""
    spread = rest.T @ rest / len(rest)
    size = spread.diagonal().mean().clamp(min=1e-12)
    eye = torch.eye(len(spread), dtype=spread.dtype, device=spread.device)
    factor = torch.linalg.cholesky(spread + shrinkage * size * eye)
    root: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False)
    return root


@register("detector", cites="ood-scores")
@settings
class Mahalanobis(Detector):
    """Squared distance to the nearest class mean under one covariance shared by all classes.

    It is the negative log-density of the features if every class is a Gaussian of the same
    shape. A little of the mean variance is added to every direction, so that directions in
    which trusted rows do not vary at all weigh much, but not infinitely much.

    Cost: one forward pass per row; to fit, one per trusted row and a Cholesky factor of D x D.

    Args:
        shrinkage: share of the mean variance added to every direction.
        layer: `penultimate`, `logits`, or the name of a module.
        relative: take off the distance to one Gaussian of all trusted rows, so that directions
            that tell no class from another do not count.
    """

    shrinkage: Inner = 1e-3
    layer: str = LAST
    relative: bool = False

    def fit(self, model: Model, trusted: Batches) -> Score:
        known, y = trusted_features(model, trusted, self.layer)
        known, y = known[y >= 0], y[y >= 0]
        if y.dim() != 1 or len(y) == 0:
            raise Unsupported(
                f"Mahalanobis needs trusted rows with one label each, got labels {tuple(y.shape)}",
                fix="Give trusted rows with labels (B,) from 0 on.",
            )
        classes, own = y.unique(return_inverse=True)
        zero = known.new_zeros(len(classes), known.shape[1])
        means = zero.index_add(0, own, known) / own.bincount()[:, None]
        root = _root(known - means[own], self.shrinkage)
        middle = known.mean(0)
        whole = (middle, _root(known - middle, self.shrinkage)) if self.relative else None
        return ClassDistance(model, self.layer, means, root, whole)
