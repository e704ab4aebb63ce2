"""How often a face is not found in a gallery."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Count
from holdfast.core.goal import Outputs, logits
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import proportion

TIE = 1e-9  # cosines closer than this are equal, and a tie finds the person


@register("measure", cites="ga-privacy-cloak")
def protection_rate(
    outputs: Outputs,
    y: Tensor,
    *,
    gallery: Tensor | None = None,
    owners: Tensor | None = None,
    top: Count = 1,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "privacy.protected",
) -> Reading:
    """Share of embeddings none of whose nearest in a gallery belongs to the same person.

    Nearness is the cosine. Without any change of the images it is the error of a recogniser that
    may answer `top` times.

    Args:
        outputs: `(B, d)` embeddings of the images to be recognised.
        y: `(B,)` who is on them.
        gallery: `(G, d)` embeddings of known images; the rows themselves, each without itself,
            unless given.
        owners: `(G,)` whose they are.
        top: how many nearest images may answer.
        alpha: the interval covers with probability at least 1 - alpha.
        seed: said in the reading; nothing is drawn.
        name: of the reading.

    Raises:
        ShapeError: if embeddings and people do not fit.
        ConfigError: if `top` is less than 1, or a gallery comes without owners.
    """
    inside("[1, inf]", name, top=top)
    if (gallery is None) != (owners is None):
        raise ConfigError(
            f"{name}: needs gallery and owners together, got only one of them",
            fix="Give owners=, one person per row of the gallery, or neither.",
        )
    f = F.normalize(logits(outputs).detach().double().flatten(1), dim=1)
    if f.shape[:1] != y.shape:
        raise ShapeError(
            f"{name}: {len(f)} embeddings but {tuple(y.shape)} people",
            fix="Give one person per row.",
        )
    known = f if gallery is None else F.normalize(gallery.detach().double(), dim=1)
    whose = (y if owners is None else owners).to(f.device)
    alike = f @ known.T
    if gallery is None:
        alike.fill_diagonal_(-2.0)
    own = whose[None] == y.to(f.device)[:, None]
    best = alike.masked_fill(~own, -torch.inf).amax(1, keepdim=True) if len(f) else alike
    ahead = (alike > best + TIE).sum(1)  # all of them other people's
    hit = ahead < top
    # A hidden face is good for the person on it, who is the one this is measured for.
    return proportion(name, int((~hit).sum()), len(f), better="higher", seed=seed, alpha=alpha)
