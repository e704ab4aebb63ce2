"""What a model answers about windows of a stream, as further columns of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.kinds import Detector, Model, Score
from holdfast.core.quiet import quiet
from holdfast.measures.data.columns import Array, Window, known, parsed
from holdfast.ops.batch import chunks
from holdfast.run.forward import outputs

PREFIX = "model: "
MOST = 20


def given(window: Window, inputs: tuple[str, ...]) -> tuple[Tensor, Array]:
    """Rows that a model can be given, and which ones of the window they are.

    Args:
        window: whose rows.
        inputs: columns in the order of the model; none where rows are a tensor.

    Raises:
        ShapeError: if the window has neither.
    """
    if not inputs and window.x is not None:
        good = window.x.reshape(window.n, -1).isfinite().all(1)
        return window.x[good], good.numpy()
    lost = [name for name in inputs if name not in window.columns]
    if lost or not inputs:
        what = f"column {lost[0]!r}, which the model needs" if lost else "column of numbers"
        raise ShapeError(f"{window.name} has no {what}", fix="Give the columns of the model.")
    table = np.stack([parsed(window.columns[name])[0] for name in inputs], 1)
    there = np.isfinite(table).all(1)
    return torch.from_numpy(table[there].astype(np.float32)), there


@dataclass(frozen=True, eq=False)
class Answers:
    """Adds to a window what the model answers.

    Predicted classes and probabilities are black-box shift detection, hard and soft; beside them
    stand the confidence, and a novelty score where one was fitted.

    Args:
        model: inputs -> logits first, or one number per row.
        inputs: columns that the model is given, in their order; empty where rows are a tensor.
        score: how foreign rows are.
    """

    model: Model
    inputs: tuple[str, ...] = ()
    score: Score | None = None

    def __call__(self, window: Window) -> Window:
        """The window with the columns of the model; rows with gaps get no answer.

        A window that lacks an input, or has no row, is given back as it is.

        Cost: one forward per row, and what the score costs.
        """
        lacks = any(name not in window.columns for name in self.inputs)
        if not window.n or lacks or (not self.inputs and window.x is None):
            return window
        x, there = given(window, self.inputs)
        found = self._columns(x) if len(x) else {}
        columns = dict(window.columns)
        for name, values in found.items():
            own = np.full(window.n, np.nan) if values.dtype.kind == "f" else np.empty(
                window.n, object)  # fmt: skip
            own[there] = values
            columns[PREFIX + name] = own
        return replace(window, columns=columns)

    def _columns(self, x: Tensor) -> dict[str, Array]:
        z = outputs(self.model, x).double()
        if z.dim() == 1 or z.shape[1] == 1:
            return {"answer": z.reshape(len(x)).numpy()}
        if z.dim() != 2:
            raise ShapeError(
                f"the model answers {tuple(z.shape[1:])} numbers per row, not classes",
                fix="Give a model that returns classes as logits (B, K), or one number per row.",
            )
        good, p = z.isfinite().all(1), z.softmax(1)
        p = torch.where(good[:, None], p, torch.nan)
        label = np.empty(len(x), object)
        label[:] = [str(int(k)) if g else None for k, g in zip(p.argmax(1), good, strict=True)]
        found: dict[str, Array] = {"answer": label, "confidence": p.amax(1).numpy()}
        if self.score is not None:
            with quiet(self.model), torch.no_grad():
                parts = [self.score(x[part]).detach().cpu() for part in chunks(len(x), 256)]
            found["novelty"] = torch.cat(parts).double().numpy()
        if p.shape[1] <= MOST:
            found |= {f"probability of {k}": p[:, k].numpy() for k in range(p.shape[1])}
        return found


def inputs_of(reference: Window, ignore: Collection[str]) -> tuple[str, ...]:
    """Columns of a reference that are numbers, in their order; the others are no inputs."""
    kinds = {n: known(n, c) for n, c in reference.columns.items() if n not in ignore}
    return tuple(n for n, k in kinds.items() if k.kind == "number" or k.coded)


def answering(
    model: Model, reference: Window, detector: Detector | None, *,
    ignore: Collection[str] = (), seed: int = 0,
) -> tuple[Answers, Window]:  # fmt: skip
    """Answers of a model, and the reference with them.

    A detector learns from one half of the reference; only the other half says what scores are
    usual, since rows that it has learned from look less foreign than others.

    Args:
        model: inputs -> logits first.
        reference: rows from before; must not be those that the model learned from, where it is
            surer.
        detector: of novelty, or None.
        ignore: columns that the model is not given, as labels.
        seed: of the halves.
    """
    inputs = () if reference.x is not None else inputs_of(reference, ignore)
    answers = Answers(model, inputs)
    x, there = given(reference, inputs)
    z = outputs(model, x)
    if detector is None or z.dim() != 2 or z.shape[1] == 1 or len(x) < 4:
        return answers, answers(reference)
    order = torch.randperm(len(x), generator=Dice.of(0, seed).generator("halves"))
    half = torch.zeros(len(x), dtype=torch.bool)
    half[order[: len(x) // 2]] = True
    score = detector.fit(model, Batches(x=x[half], y=z[half].argmax(1)))
    answers = replace(answers, score=score)
    told = answers(reference)
    learned = np.flatnonzero(there)[half.numpy()]
    name = PREFIX + "novelty"
    columns = {**told.columns, name: np.delete(told.columns[name], learned)}
    return answers, replace(told, columns=columns)
