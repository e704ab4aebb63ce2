"""Do embeddings lie by what they show, or by where they come from?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.ops.batch import chunks
from holdfast.run.reading import proportion

ROWS, DRAWS = 512, 500
SS, SO, OS, OO = range(4)  # same or other class, same or other centre


@dataclass(frozen=True, eq=False)
class Confounding:
    """What the nearest neighbours of each row share with it.

    Args:
        kinds: `(n, k)` same class and centre (0), class only (1), centre only (2), neither (3);
            4 where there is no neighbour left.
        chance: `(4,)` share of each kind among all pairs that could be neighbours.
        alpha: of the intervals.
        seed: of the bootstrap over rows.
        name: prefix of the readings.
    """

    kinds: Tensor
    chance: Tensor
    alpha: float
    seed: int
    name: str

    def counts(self, k: int | None = None) -> Tensor:
        """`(4,)` neighbours of each kind among the first k of all rows."""
        return torch.bincount(self.kinds[:, :k].flatten(), minlength=5)[:4].double()

    def index(self, k: int | None = None) -> float:
        """Neighbours of the class from elsewhere among those that share one thing: in [0, 1]."""
        return float(normalized(self.counts(k)))

    def ratio(self, k: int | None = None) -> float:
        """Neighbours of the same class over neighbours from the same centre."""
        return float(ratio(self.counts(k)))

    def table(self) -> dict[str, float]:
        """Further numbers from the same counts."""
        ss, so, os, oo = self.counts().tolist()

        def over(a: float, b: float) -> float:
            return a / b if b else float("nan")

        return {
            "class accuracy": over(ss + so, ss + so + os + oo),
            "out of centre": over(so, so + oo),
            "in centre": over(ss, ss + os),
            "insensitivity": over(so + oo, ss + os),
            "generalization": over(ss * so + so * os, ss * so + ss * oo),
        }

    def readings(self) -> tuple[Reading, ...]:
        """Index in [0, 1], ratio, and the ratio in units of that of random neighbours."""
        n = len(self.kinds)
        each = F.one_hot(self.kinds, 5).sum(1)[:, :4].double().cpu()
        g = Dice.of(0, self.seed).generator(self.name)
        # Weights of a resample: how often each row was drawn.
        drawn = torch.randint(n, (DRAWS, n), generator=g)
        weight = torch.zeros(DRAWS, n, dtype=torch.float64)
        weight.scatter_add_(1, drawn, torch.ones(DRAWS, n, dtype=torch.float64))
        again = weight @ each
        chance = float(ratio(self.chance))
        rows = []
        for word, value, draws in (
            ("index", self.index(), normalized(again)),
            ("ratio", self.ratio(), ratio(again)),
            ("relative", self.ratio() / chance, ratio(again) / chance),
        ):
            good = draws[draws.isfinite()]
            if value != value or not len(good) or not abs(value) < torch.inf:  # noqa: PLR0124
                continue
            low, high = good.quantile(torch.tensor([self.alpha / 2, 1 - self.alpha / 2]).double())
            rows.append(Reading(
                name=f"{self.name}.{word}", value=value, low=min(value, float(low)),
                high=max(value, float(high)), n=n, unit="share" if word == "index" else "ratio",
                seed=self.seed,
            ))  # fmt: skip
        same = int(self.counts()[:2].sum())
        return (*rows, proportion(f"{self.name}.class-neighbours", same, int(self.counts().sum()),
                                  alpha=self.alpha, seed=self.seed))  # fmt: skip

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`: the index over the number of neighbours."""
        return tuple(
            {"x": k, "y": self.index(k), "series": "robustness index"}
            for k in range(1, self.kinds.shape[1] + 1)
        )


def normalized(counts: Tensor) -> Tensor:
    """SO / (SO + OS) of counts `(..., 4)`; one half where nothing tells."""
    both = counts[..., SO] + counts[..., OS]
    return torch.where(both > 0, counts[..., SO] / both.clamp(min=1e-300), 0.5)


def ratio(counts: Tensor) -> Tensor:
    """(SS + SO) / (SS + OS) of counts `(..., 4)`."""
    return (counts[..., SS] + counts[..., SO]) / (counts[..., SS] + counts[..., OS])


@register("measure", cites="pathology-robustness-index")
def robustness_index(
    embedding: Tensor,
    y: Tensor,
    centre: Tensor,
    *,
    k: Count = 50,
    exclude: Tensor | None = None,
    cosine: bool = True,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "confounding",
) -> Confounding:
    """Whether nearest neighbours share the class of a row, or only the place it comes from.

    Of the neighbours that share one of the two, the index is the share that has the class: one
    half in balance, 1 if places do not matter. The ratio is that of neighbours of the class to
    neighbours of the place. Turning both roles round gives one minus the index and one over the
    ratio. Base rates move the ratio, so it is also given in units of that of random neighbours;
    balance classes over places where you can.

    Args:
        embedding: `(n, d)`.
        y: `(n,)` classes, such as tissue or disease.
        centre: `(n,)` places, such as hospital or scanner.
        k: neighbours; at most n - 1.
        exclude: `(n,)` rows with the same number (slide, patient) are no neighbours.
        cosine: compare directions; otherwise distances.
        alpha: of the intervals.
        seed: of the bootstrap over rows.
        name: prefix of the readings.

    Raises:
        ShapeError: for fewer than three rows, shapes that do not fit, or numbers not finite.
        ConfigError: for less than one neighbour.

    Cost: all pairs of rows, in chunks.
    """
    inside("[1, inf]", name, k=k)
    z = embedding.detach().double().flatten(1) if embedding.dim() > 1 else embedding
    given = [y, centre] if exclude is None else [y, centre, exclude]
    if len(z) < 3 or any(t.shape != (len(z),) for t in given):
        raise ShapeError(
            f"{name}: {len(z)} embeddings need a class and a centre each, three rows",
            fix=f"Give three embeddings or more, and y, centre and exclude as tensors ({len(z)},).",
        )
    if not bool(z.isfinite().all()):
        raise ShapeError(f"{name}: embeddings must be finite", fix="Leave such rows out.")
    z = F.normalize(z, dim=1) if cosine else z
    y, centre = y.to(z.device), centre.to(z.device)
    unit = torch.arange(len(z), device=z.device) if exclude is None else exclude.to(z.device)
    found, chance = [], torch.zeros(5, dtype=torch.float64)
    for part in chunks(len(z), ROWS):
        near = z[part] @ z.T if cosine else -torch.cdist(z[part], z)
        own = unit[part, None] == unit
        kind = 2 * (y[part, None] != y) + (centre[part, None] != centre).long()
        kind = kind.masked_fill(own, 4)
        chance += torch.bincount(kind.flatten(), minlength=5).double().cpu()
        best = near.masked_fill(own, -torch.inf).topk(min(k, len(z) - 1), 1).indices
        found.append(kind.gather(1, best))
    return Confounding(torch.cat(found).cpu(), chance[:4] / chance[:4].sum(), alpha, seed, name)


def centred(embedding: Tensor, centre: Tensor, *, scale: bool = False) -> Tensor:
    """Embeddings less the mean of their place; with `scale`, divided by its spread as well.

    The overall mean (and spread) is put back: location and scale as in ComBat, unshrunken.

    Args:
        embedding: `(n, d)`.
        centre: `(n,)`.
        scale: match the spreads too.
    """
    _, own = centre.unique(return_inverse=True)
    count = own.bincount()[:, None].to(embedding.dtype)
    zero = embedding.new_zeros(len(count), embedding.shape[1])
    rest = embedding - (zero.index_add(0, own, embedding) / count)[own]
    if scale:
        spread = (zero.index_add(0, own, rest.square()) / count).sqrt()
        rest = rest / spread[own].clamp(min=1e-12) * rest.square().mean(0).sqrt()
    found: Tensor = rest + embedding.mean(0)
    return found
