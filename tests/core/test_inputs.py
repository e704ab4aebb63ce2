"""What a method may ask of its inputs: passed through, or refused with place, value and fix."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import HoldfastError, ShapeError, Unsupported
from holdfast.core.inputs import (
    images,
    labelled_rows,
    one_label_each,
    one_tensor,
    same_shape,
    some_models,
    some_rows,
    with_slope,
)

X, Y = torch.zeros(3, 2), torch.tensor([1, -100, 0])


def test_what_fits_is_handed_on():
    assert one_tensor(X, "who", floating=True) is X and one_tensor(Y, "who") is Y
    pictures = torch.zeros(2, 1, 4, 4)
    assert images(pictures, "who") is pictures
    assert labelled_rows(Batches(x=X, y=Y), "who").index.tolist() == [0, 2]
    some_rows(X, "who", 3)
    some_models([1, 2], "who", 2, 2)
    one_label_each(Y, "who")
    same_shape("who", a=X, b=X + 1)
    with_slope(X.clone().requires_grad_().sum(), "who")


@pytest.mark.parametrize(("ask", "kind", "says"), [
    (lambda: one_tensor(["a"], "who"), Unsupported, "who needs inputs as one tensor, got list"),
    (lambda: one_tensor(Y, "who", floating=True), Unsupported,
     "who needs inputs as one floating-point tensor, got int64 (3,)"),
    (lambda: images(X, "who"), Unsupported,
     "who needs images (B, C, H, W), got float32 (3, 2)"),
    (lambda: labelled_rows(Batches(x=X, y=Y * 0 - 100), "who"), Unsupported,
     "who needs labelled rows, got 3 rows without a label"),
    (lambda: some_rows([], "who"), ShapeError, "who needs one row or more, got 0"),
    (lambda: some_rows(X, "who", 9, "frame"), ShapeError, "who needs 9 frames or more, got 3"),
    (lambda: some_models([], "who", 2, 2), ShapeError, "who compares two models, got 0"),
    (lambda: some_models([1] * 3, "who", 2, 2), ShapeError, "who compares two models, got 3"),
    (lambda: some_models([1], "who", 2), ShapeError, "who compares two models or more, got 1"),
    (lambda: one_label_each(X, "who"), Unsupported,
     "who needs one label per row (B,), whole numbers, got torch.float32 (3, 2)"),
    (lambda: same_shape("who", a=X, b=Y), ShapeError, "who: shapes differ: a (3, 2), b (3,)"),
    (lambda: with_slope(X.sum(), "who"), Unsupported, "who: no gradient reaches the input"),
])  # fmt: skip
def test_what_does_not_fit_is_named_with_one_action(ask, kind, says):
    with pytest.raises(HoldfastError) as caught:
        ask()
    assert type(caught.value) is kind and caught.value.says == says
    assert caught.value.fix.startswith("Give ") and caught.value.fix.endswith(".")
