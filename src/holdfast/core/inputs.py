"""What a method may ask of what it is given: one tensor, images, rows, labels, models, slopes."""

from __future__ import annotations

from collections.abc import Sized

from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError, Unsupported


def one_tensor(x: object, who: str, *, floating: bool = False) -> Tensor:
    """The inputs, which must be one tensor.

    Args:
        x: inputs of any form.
        who: asks; the message begins with it.
        floating: whether whole numbers will not do, as where slopes are taken.

    Raises:
        Unsupported: for texts, mappings and, if `floating`, whole numbers.
    """
    if isinstance(x, Tensor) and (x.is_floating_point() or not floating):
        return x
    kind = "one floating-point tensor" if floating else "one tensor"
    fix = "x.float()" if isinstance(x, Tensor) else "torch.stack(list(rows))"
    raise Unsupported(
        f"{who} needs inputs as {kind}, got {_found(x)}", fix=f"Give {kind}, rows first: {fix}."
    )


def images(x: object, who: str) -> Tensor:
    """The inputs, which must be images.

    Args:
        x: inputs of any form.
        who: asks; the message begins with it.

    Raises:
        Unsupported: for anything but a tensor (B, C, H, W).
    """
    if isinstance(x, Tensor) and x.dim() == 4:
        return x
    raise Unsupported(
        f"{who} needs images (B, C, H, W), got {_found(x)}",
        fix="Give four axes: x[:, None] for grey images (B, H, W), "
        "x.permute(0, 3, 1, 2) for channels last.",
    )


def some_rows(rows: Sized, who: str, least: int = 1, what: str = "row") -> None:
    """Raise where there are fewer rows than the method can say anything about.

    Args:
        rows: anything that has a length.
        who: asks; the message begins with it.
        least: how many there must be.
        what: one of them is called so.

    Raises:
        ShapeError: naming both numbers.
    """
    if (count := len(rows)) < least:
        raise ShapeError(
            f"{who} needs {_counted(least, what)} or more, got {count}",
            fix=f"Give {_counted(least, what)} or more; see that no filter takes them away.",
        )


def labelled_rows(batches: Batches, who: str) -> Batches:
    """The rows that have a label.

    Args:
        batches: rows; -100 stands for no label.
        who: asks; the message begins with it.

    Raises:
        Unsupported: where there are none.
    """
    rows = batches.take((batches.y != UNLABELLED).nonzero().flatten())
    if len(rows):
        return rows
    raise Unsupported(
        f"{who} needs labelled rows, got {len(batches)} rows without a label",
        fix="Give labels y, numbered from 0; -100 stands for no label.",
    )


def one_label_each(y: Tensor, who: str) -> None:
    """Raise unless every row has one class, or -100, as its label.

    Args:
        y: labels.
        who: asks; the message begins with it.

    Raises:
        Unsupported: for labels of positions, of several classes at once, or shares of classes.
    """
    if y.dim() != 1 or y.is_floating_point():
        raise Unsupported(
            f"{who} needs one label per row (B,), whole numbers, got {y.dtype} {tuple(y.shape)}",
            fix="Give the number of one class per row: y.argmax(1) for shares (B, K) of classes.",
        )


def same_shape(who: str, /, **given: Tensor) -> None:
    """Raise unless all tensors have one shape.

    Args:
        who: asks; the message begins with it.
        given: tensors by name.

    Raises:
        ShapeError: naming every tensor with its shape.
    """
    if len({t.shape for t in given.values()}) > 1:
        found = ", ".join(f"{name} {tuple(t.shape)}" for name, t in given.items())
        raise ShapeError(
            f"{who}: shapes differ: {found}",
            fix=f"Give {' and '.join(given)} of the same rows, in the same order.",
        )


def some_models(models: Sized, who: str, least: int = 1, most: int = 0) -> None:
    """Raise unless there are as many models as the method compares.

    Args:
        models: the models.
        who: asks; the message begins with it.
        least: how many it needs.
        most: how many it takes; 0 = any number.

    Raises:
        ShapeError: naming both numbers.
    """
    if len(models) < least or (most and len(models) > most):
        wanted = _counted(least, "model") + ("" if most == least else " or more")
        raise ShapeError(
            f"{who} compares {wanted}, got {len(models)}", fix=f"Give a list of {wanted}."
        )


def with_slope(value: Tensor, who: str) -> None:
    """Raise unless the value depends on its input in a way that can be followed back.

    Args:
        value: computed from the input.
        who: asks; the message begins with it.

    Raises:
        Unsupported: where no gradient reaches the input.
    """
    if not value.requires_grad:
        raise Unsupported(
            f"{who}: no gradient reaches the input",
            fix="Give a model of differentiable steps: no argmax, rounding or detach on the way.",
        )


def _found(x: object) -> str:
    if isinstance(x, Tensor):
        return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
    return type(x).__name__


def _counted(number: int, what: str) -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four"}
    return f"{words.get(number, number)} {what}" + ("" if number == 1 else "s")
