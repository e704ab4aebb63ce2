"""Data sets that come along with scikit-learn."""

from __future__ import annotations

import gzip

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.ops.carried import carried
from holdfast.readers.origin import Origin


def _digits() -> Batches:
    names = tuple(str(k) for k in range(10))
    x, y = _digits_of_sklearn()
    truth = Origin(name="digits", total=len(x))
    return Batches(x=x[:, None], y=y, classes=names, truth=truth)


def _digits_of_sklearn() -> tuple[Tensor, Tensor]:
    """The file that scikit-learn carries; where a later release has none, the library is asked."""
    file = carried("data", "digits.csv.gz")
    if file is None:
        from sklearn.datasets import load_digits

        raw = load_digits()
        return torch.from_numpy(raw.images / 16.0).float(), torch.from_numpy(raw.target).long()
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",")
    images = torch.from_numpy(table[:, :-1] / 16.0).float().view(-1, 8, 8)
    return images, torch.from_numpy(table[:, -1]).long()


def _breast_cancer() -> Batches:
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    columns = tuple(str(n) for n in raw.feature_names)
    x = torch.from_numpy(raw.data).float()
    return Batches(
        x=x,
        y=torch.from_numpy(raw.target).long(),
        classes=tuple(str(n) for n in raw.target_names),
        truth=Origin(name="breast-cancer", form="table", columns=columns, total=len(x)),
    )


BUILT_IN = {"digits": _digits, "breast-cancer": _breast_cancer}
