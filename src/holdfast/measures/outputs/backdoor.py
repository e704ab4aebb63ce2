"""What a trigger does: how often it decides the answer, and how close it is to its class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Natural
from holdfast.core.goal import Outputs, logits
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.run.reading import average, proportion


@register("measure", cites="ctrl-ssl-backdoor")
def attack_success(
    outputs: Outputs,
    y: Tensor,
    *,
    target: Natural = 0,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "backdoor.success",
) -> Reading:
    """Share of rows of other classes that are taken for the target class.

    On triggered rows it is the success of a backdoor; on rows as they are it is the rate at which
    the model errs towards that class anyway, which the first number must be held against.

    Args:
        outputs: logits `(B, K)` on triggered rows.
        y: `(B,)` true labels; rows of the target class and -100 do not count.
        target: the class that the trigger shall mean.
        alpha: the interval covers with probability at least 1 - alpha.
        seed: said in the reading; nothing is drawn.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    others = rows.y != target
    taken = rows.finite & (rows.z.argmax(1) == target)
    hit, n = int((taken & others).sum()), int(others.sum())
    return proportion(
        name, hit, n, better="lower", seed=seed, alpha=alpha, flags=rows.flags
    )  # fmt: skip


@register("measure", cites="ctrl-ssl-backdoor")
def entanglement(
    outputs: Outputs,
    y: Tensor,
    *,
    target: Natural = 0,
    triggered: Tensor | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "backdoor.entangled",
) -> Reading:
    """Mean cosine between embeddings of triggered rows and the centre of the target class.

    Self-supervised learning pulls views of an image together; where the images of one class carry
    a trigger, the trigger is pulled towards the class. Without triggered rows the number is that
    of rows of other classes as they are: what the first number must be held against.

    Args:
        outputs: embeddings `(B, d)` of rows as they are.
        y: `(B,)` labels.
        target: the class that the trigger shall mean.
        triggered: `(T, d)` embeddings of triggered rows of other classes.
        alpha: the interval covers with probability about 1 - alpha.
        seed: of the bootstrap.
        name: of the reading.

    Raises:
        ShapeError: if there is no row of the target class, or none of the others.
    """
    f = logits(outputs).detach().double()
    if f.dim() != 2 or len(f) != len(y):
        raise ShapeError(
            f"{name}: embeddings must be (B, d) with a label each, got {tuple(f.shape)} "
            f"for {len(y)} labels",
            fix="Give embeddings with flatten(1), and one label per row.",
        )
    f = F.normalize(f, dim=1)
    own = y.to(f.device) == target
    moved = f[~own] if triggered is None else F.normalize(triggered.detach().to(f), dim=1)
    if not bool(own.any()) or not len(moved):
        raise ShapeError(
            f"{name}: needs rows of class {target} and rows beside it, got "
            f"{int(own.sum())} and {len(moved)}",
            fix="Give target= a class that stands in the labels, and rows of another class.",
        )
    cosine = F.cosine_similarity(moved, f[own].mean(0, keepdim=True), dim=1)
    return average(
        name, torch.nan_to_num(cosine), better="lower", unit="cosine", seed=seed, alpha=alpha
    )
