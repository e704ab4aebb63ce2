"""How far the domains of a data set lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.inputs import one_tensor
from holdfast.core.records import Reading
from holdfast.ops.two_samples import mmd2
from holdfast.run.reading import proportion

# Where shifts come from, and at which level methods meet them.
SOURCES: dict[str, str] = {
    "acquisition": "scanner, protocol, stain, contrast, resolution",
    "population": "age, sex, prevalence of a disease (label shift)",
    "annotation": "who labels, and by which rules (concept shift)",
    "site": "all of them at once",
    "time": "drift of any of them",
}
LEVELS: dict[str, str] = {
    "data": "normalisation, augmentation, randomisation, generation",
    "feature": "alignment, disentanglement, invariant risk, normalisation layers",
    "model": "meta-learning, ensembles, self-supervision, regularisation, flat minima",
    "analysis": "explanation, uncertainty, quality control, fairness",
}


def coral_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frobenius distance of the covariances of `(n, d)` and `(m, d)`, over `4 d^2`."""
    apart = (torch.cov(a.double().T) - torch.cov(b.double().T)).reshape(a.shape[1], a.shape[1])
    return float(apart.square().sum() / (4 * a.shape[1] ** 2))


def proxy_distance(accuracy: float) -> float:
    """Proxy A-distance `2 (1 - 2 err)` of the accuracy of telling two domains apart."""
    return 2 * (1 - 2 * (1 - accuracy))


def probe(x: Tensor, group: Tensor, ridge: float = 1e-2) -> Tensor:
    """`(n / 2,)` bool: rows whose domain a linear rule tells that was fitted on the other rows.

    Every second row of each domain is held out; the rule is ridge regression onto the domains.

    Args:
        x: `(n, d)` features.
        group: `(n,)` domains, 0 to D - 1.
        ridge: of the squared weights, per row and in units of the mean variance.
    """
    held = torch.zeros(len(x), dtype=torch.bool)
    for g in group.unique():
        own = (group == g).nonzero()[:, 0]
        held[own[1::2]] = True
    flat = x.double()
    middle = flat[~held].mean(0)
    known = torch.cat([flat - middle, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    targets = F.one_hot(group).double()
    a, scale = known[~held], (flat[~held] - middle).square().mean().clamp(min=1e-12)
    gram = a.T @ a + ridge * len(a) * scale * torch.eye(a.shape[1], dtype=torch.float64)
    rule = torch.linalg.solve(gram, a.T @ targets[~held])
    told: Tensor = (known[held] @ rule).argmax(1) == group[held]
    return told


@dataclass(frozen=True, eq=False)
class Domains:
    """What tells domains apart.

    Args:
        probe: share of held-out rows whose domain a linear rule tells; chance is 1 / D.
        within: the same, on average within one class: what is told by more than the labels.
        mmd: `(D, D)` squared maximum mean discrepancies.
        coral: `(D, D)` distances of covariances.
        priors: `(D, K)` shares of the classes in each domain.
    """

    probe: Reading
    within: Reading
    mmd: Tensor
    coral: Tensor
    priors: Tensor

    @property
    def label_shift(self) -> float:
        """Largest total variation between the shares of classes of two domains."""
        return float(torch.cdist(self.priors, self.priors, p=1).max() / 2)

    def readings(self) -> tuple[Reading, ...]:
        """How well the domain can be told, overall and within classes."""
        return self.probe, self.within


@register("measure", cites="medical-dg-survey", says="How far domains lie apart.")
def domain_gap(domains: Batches, *, alpha: float = 0.05, name: str = "domains") -> Domains:
    """Asks whether the domain of a row can be told from its features, and how far domains are.

    Args:
        domains: rows with their domains in `group`; features may be inputs or what a model made
            of them. Anything behind the rows is flattened.
        alpha: each interval covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        Unsupported: if the inputs are not one tensor.
        ConfigError: without domains, or with fewer than two.
        ShapeError: if a domain has fewer than four rows.
    """
    x, y = one_tensor(domains.x, name).flatten(1).double(), domains.y
    if domains.group is None or len(domains.group.unique()) < 2:
        raise ConfigError(
            f"{name} needs rows of two domains or more",
            fix="Give Batches(x=x, y=y, group=domain) with the number of each row's domain.",
        )
    group = torch.searchsorted(domains.group.unique(), domains.group)
    parts = [x[group == g] for g in range(int(group.max()) + 1)]
    if min(len(p) for p in parts) < 4:
        raise ShapeError(
            f"{name}: every domain needs four rows or more",
            fix="Give four rows of every domain, or leave the smaller domains out.",
        )
    found = probe(x, group)
    within = [probe(x[y == k], _dense(group[y == k])) for k in y.unique() if _enough(group[y == k])]
    inside = torch.cat(within) if within else torch.zeros(0, dtype=torch.bool)
    pairs = [[(float(mmd2(a[None], b[None])), coral_distance(a, b)) for b in parts] for a in parts]
    classes = int(y.max()) + 1
    priors = [
        torch.bincount(y[group == g], minlength=classes) / len(p) for g, p in enumerate(parts)
    ]
    return Domains(
        _share(f"{name}.probe", found, alpha), _share(f"{name}.probe.within", inside, alpha),
        torch.tensor([[m for m, _ in row] for row in pairs]),
        torch.tensor([[c for _, c in row] for row in pairs]), torch.stack(priors).double(),
    )  # fmt: skip


def _share(name: str, right: Tensor, alpha: float) -> Reading:
    return proportion(name, int(right.sum()), len(right), alpha=alpha, better="lower")


def _dense(group: Tensor) -> Tensor:
    return torch.searchsorted(group.unique(), group)


def _enough(group: Tensor) -> bool:
    counts = torch.bincount(group)
    return int((counts >= 2).sum()) > 1 and bool((counts[counts > 0] >= 2).all())
