"""Columns that a model adds to windows: probabilities, classes, confidence, novelty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from holdfast.checks.answers import PREFIX, Answers, answering, inputs_of
from holdfast.core.catalog import build
from holdfast.core.errors import ShapeError
from holdfast.measures.data.columns import Window
from holdfast.measures.data.stream import watched


def window(n: int, seed: int, shift: float = 0.0) -> Window:
    draw = np.random.default_rng(seed)
    columns = {k: draw.normal(shift, 1, n) for k in "ab"}
    return Window("w", columns | {"name": np.array(["u"] * n, object)}, n, n)


def model(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[:, 0], x[:, 1], x.sum(1) * 0], 1)


def test_answers_are_those_of_the_model_and_gaps_stay_gaps() -> None:
    w = window(20, 0)
    w.columns["a"][3] = np.nan
    found = Answers(model, ("a", "b"))(w).columns
    z = model(torch.tensor(np.stack([w.columns["a"], w.columns["b"]], 1)).float())
    p = z.double().softmax(1).numpy()
    for k in range(3):
        np.testing.assert_allclose(found[f"{PREFIX}probability of {k}"], p[:, k], rtol=1e-6)
    there = np.arange(20) != 3
    np.testing.assert_allclose(found[f"{PREFIX}confidence"][there], p.max(1)[there], rtol=1e-6)
    assert list(found[f"{PREFIX}answer"][there]) == [str(k) for k in p.argmax(1)[there]]
    assert found[f"{PREFIX}answer"][3] is None and np.isnan(found[f"{PREFIX}confidence"][3])


def test_numbers_as_answers() -> None:
    found = Answers(lambda x: x[:, :1], ("b", "a"))(window(9, 1))
    assert [n for n in found.columns if n.startswith(PREFIX)] == [f"{PREFIX}answer"]
    np.testing.assert_allclose(found.columns[f"{PREFIX}answer"], found.columns["b"], rtol=1e-6)


def test_novelty_is_judged_on_rows_that_the_detector_has_not_seen() -> None:
    before = window(300, 2)
    assert inputs_of(before, ()) == ("a", "b") and inputs_of(before, ("a",)) == ("b",)
    answers, known = answering(model, before, build("detector:knn"), seed=1)
    name = f"{PREFIX}novelty"
    assert len(known.columns[name]) == 150 and len(known.columns["a"]) == 300
    every = answers(before).columns[name]
    assert np.isin(known.columns[name], every).all()
    learned = np.setdiff1d(every, known.columns[name])
    assert learned.mean() < known.columns[name].mean()  # a row is its own neighbour
    stream = [answers(window(100, 3)), answers(window(100, 4, shift=5.0))]
    quiet, moved = watched(known, stream)
    assert quiet.verdict == "no drift"
    assert name in {m.column for m in moved.moved}


def test_a_window_without_an_input_is_left_as_it_is() -> None:
    w = window(5, 0)
    del w.columns["a"]  # type: ignore[attr-defined]
    assert Answers(model, ("a", "b"))(w) is w
    with pytest.raises(ShapeError, match="no column of numbers"):
        answering(model, Window("w", {"name": np.array(["u", "v"], object)}, 2, 2), None)
