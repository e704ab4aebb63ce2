"""Estimators of scikit-learn as black boxes: rows in, log-probabilities out, no gradients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.readers.learned import learned

LEAST = 1e-38  # a probability of 0, so that its logarithm is finite in float32
READING = "It is an estimator: a black box without gradients, attacked by its {} alone."


def is_estimator(thing: Any) -> bool:
    """Whether a thing predicts as estimators of scikit-learn do, and cannot be called itself."""
    if isinstance(thing, type | nn.Module) or callable(thing):
        return False
    return any(callable(getattr(thing, n, None)) for n in ("predict_proba", "predict"))


class Estimator(nn.Module):
    """A fitted classifier whose outputs are the logarithms of its probabilities.

    The margin of log-probabilities has the sign and the order of that of the probabilities, so
    every attack that needs no gradient judges it as it is. Without `predict_proba` the values of
    `decision_function` are taken as they are. Pictures go in flat, texts as they are.

    Args:
        inner: the estimator; its classes are 0, 1, ... or names, which data number alike.
        name: as the user wrote it.

    Raises:
        ConfigError: if it tells neither probabilities nor values, or is not fitted.
    """

    def __init__(self, inner: Any, name: str) -> None:
        super().__init__()
        self.inner = inner
        self.by = next((n for n in ("predict_proba", "decision_function") if _has(inner, n)), "")
        classes = np.asarray(getattr(inner, "classes_", ()))
        if not self.by or classes.ndim != 1 or not len(classes):
            what = "is not fitted" if self.by else "gives neither probabilities nor decision values"
            raise ConfigError(
                f"{name}: {type(inner).__name__} {what}",
                fix="Return a fitted classifier with predict_proba, as SVC(probability=True).",
                code="E0115",
            )
        self.places = _places(classes, name)
        self.contents = digest(learned(inner))
        self.eval()

    @property
    def reading(self) -> str:
        """How it was read, for the reader of a report."""
        what = "probabilities" if self.by == "predict_proba" else "decision values"
        return READING.format(what)

    def forward(self, x: Tensor | Sequence[str]) -> Tensor:
        width = max(self.places) + 1
        if not len(x):
            return torch.zeros(0, width)
        flat = x.detach().cpu().flatten(1).numpy() if isinstance(x, Tensor) else list(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names of columns that it was fitted with
            found = np.asarray(getattr(self.inner, self.by)(flat), np.float64)
        if self.by == "predict_proba":
            found = np.log(np.clip(found, LEAST, None))
        elif found.ndim == 1:  # of two classes one value is told
            found = np.stack([-found, found], 1) / 2
        if found.shape != (len(x), len(self.places)):
            raise ShapeError(
                f"{type(self.inner).__name__} gives outputs of shape {found.shape} for {len(x)} "
                f"rows and {len(self.places)} classes",
                fix="Give a classifier with one label per row.",
                code="E0201",
            )
        full = np.full((len(x), width), min(np.log(LEAST), float(found.min()) - 1))
        full[:, self.places] = found
        out = torch.from_numpy(full).float()
        return out.to(x.device) if isinstance(x, Tensor) else out


def from_pickle(path: Path) -> Estimator:
    """The estimator in a pickle of joblib; this runs code, so only with trust.

    Raises:
        ConfigError: if there is none in it.
    """
    try:
        found = import_module("joblib").load(path)
    except Exception as error:
        raise ConfigError(
            f"{path.name} cannot be read: {type(error).__name__}: {str(error)[:200]}",
            fix="Read it in the environment that made it, and name it from there: file.py:function",
            code="E0116",
        ) from error
    if not is_estimator(found):
        raise ConfigError(
            f"{path.name} holds {type(found).__name__}, no estimator",
            fix="joblib.dump(classifier, file)",
            code="E0116",
        )
    return Estimator(found, path.name)


def _has(thing: Any, name: str) -> bool:
    return callable(getattr(thing, name, None))  # of an SVC it depends on its settings


def _places(classes: np.ndarray, name: str) -> list[int]:
    """The label of each of its classes; names are numbered in sorted order, as in data."""
    if classes.dtype.kind not in "buif":
        return list(range(len(classes)))
    values = classes.astype(np.float64)
    if bool((values != values.round()).any()) or values.min() < 0 or values.max() >= 100_000:
        raise ConfigError(
            f"{name}: its classes are {', '.join(map(str, classes[:4]))}",
            fix="Fit it on labels from 0, or on names.",
            code="E0115",
        )
    return [int(v) for v in values]
