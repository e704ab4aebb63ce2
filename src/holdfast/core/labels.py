"""Labels that name outputs of a model: looked through once, where rows and model meet."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError


def largest(y: Tensor, who: str, *, unlabelled: bool = True) -> int:
    """The largest label, looked up once, so that no pass has to ask.

    Args:
        y: labels of any shape.
        who: asks; the message begins with it.
        unlabelled: whether -100 may stand where there is no label.

    Returns:
        The label; below 0 where there is none.

    Raises:
        ShapeError: for labels that are not whole numbers (E0212), or are negative (E0210).
    """
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ShapeError(
            f"{who}: labels must be whole numbers, got {y.dtype} {tuple(y.shape)}",
            fix="Number the classes from 0 with whole numbers: y.long().",
            code="E0212",
        )
    if not y.numel():
        return -1
    wrong = (y < 0) & (y != UNLABELLED) if unlabelled else y < 0
    if bool(wrong.any()):
        raise _nameless(
            int(y[wrong][0]), who, "Number the classes from 0; -100 stands for no label."
        )
    return int(y.max())


def one_each(y: Tensor, who: str) -> None:
    """Raise unless there is one label per row.

    Args:
        y: labels.
        who: asks; the message begins with it.

    Raises:
        ShapeError: for labels of another shape than (B,).
    """
    if y.dim() != 1:
        raise ShapeError(
            f"{who}: labels must be one per row (B,), got {tuple(y.shape)}",
            fix="Pass y.flatten() if a dimension is spare; Pixels(y) is about labels of positions.",
        )


def within(top: int, classes: int, who: str) -> None:
    """Raise where the largest label has no output of the model.

    Args:
        top: the largest label.
        classes: how many outputs there are.
        who: asks; the message begins with it.

    Raises:
        ShapeError: E0210.
    """
    if top >= classes:
        raise _nameless(
            top, who, "Number the classes from 0, or take a model with more outputs.", classes
        )


def named(y: Tensor, classes: int, who: str) -> None:
    """Raise unless every label but -100 is the number of an output: `largest` and `within`.

    Args:
        y: labels of any shape.
        classes: how many outputs there are.
        who: asks; the message begins with it.

    Raises:
        ShapeError: E0210 and E0212.
    """
    within(largest(y, who), classes, who)


def blamed(y: Tensor, who: str) -> ShapeError:
    """What to raise where an accelerator has stopped at an index without saying which.

    Args:
        y: labels on the host, which are most often the reason.
        who: asks; the message begins with it.
    """
    return ShapeError(
        f"{who}: the device stopped at an index out of range, most often a label that names no "
        f"output; labels run from {y.min():g} to {y.max():g}",
        fix="Number the classes from 0, or train on the CPU, which names the label.",
        code="E0210",
    )


def _nameless(label: int, who: str, fix: str, classes: int | None = None) -> ShapeError:
    known = "" if classes is None else f", the model has {classes}"
    return ShapeError(f"{who}: label {label} names no output{known}", fix=fix, code="E0210")
