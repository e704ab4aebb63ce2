"""Answers by the rules of SQuAD, and lines through models against numpy."""

import numpy as np
import pytest
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.landscape import landscape
from holdfast.measures.text.answers import answer_overlap, normalised, qa_em, qa_f1


@pytest.mark.parametrize(
    ("text", "golds", "f1", "em"),
    [("The cat", ["cat"], 1, 1), ("big cat", ["cat"], 2 / 3, 0), ("", [""], 1, 1),
     ("dog", ["cat"], 0, 0), ("dog", ["", "a dog!"], 1, 1), ("", ["cat"], 0, 0),
     ("to be or not to be", ["be be be"], 2 * 2 / 9, 0), ("x", [], 0, 0)],
)  # fmt: skip
def test_answers_by_hand(text: str, golds: list[str], f1: float, em: float) -> None:
    assert qa_f1(text, golds) == pytest.approx(f1) and qa_em(text, golds) == em


def test_normalised() -> None:
    assert normalised(" The  U.S.A.,  an Area ") == "usa area"
    with pytest.raises(ShapeError):
        answer_overlap(["a"], [])


def test_line_is_that_of_numpy() -> None:
    own, foreign = torch.rand(20).double() * 0.8 + 0.1, torch.rand(20).double() * 0.8 + 0.1
    found = landscape({"a": own, "b": foreign})
    lo = [np.log(v / (1 - v)) for v in (own.numpy(), foreign.numpy())]
    slope, offset = np.polyfit(lo[0], lo[1], 1)
    assert found.slope == pytest.approx(slope) and found.offset == pytest.approx(offset)
    r2 = np.corrcoef(lo[0], lo[1])[0, 1] ** 2
    assert found.r2 == pytest.approx(1 - (1 - r2) * 19 / 18)
    want = foreign.numpy() - 1 / (1 + np.exp(-(slope * lo[0] + offset)))
    assert np.allclose(found.above.numpy(), want)
    plain = landscape({"a": own, "b": foreign}, scale="linear")
    assert plain.above.sum() == pytest.approx(0, abs=1e-9) and plain.own_score_alone


def test_extrapolation_is_said() -> None:
    own = torch.linspace(0.2, 0.9, 12).double()
    tags = ["few"] * 3 + ["full"] * 9
    found = landscape({"a": own, "b": own}, tags, fit=("full",))
    assert found.outside.tolist() == [True] * 3 + [False] * 9
    few, full = found.readings()
    assert "3 of 3 models" in few.flags[0] and not full.flags
    assert found.follows["b"] == pytest.approx(1)
    with pytest.raises(ConfigError, match="percentages"):
        landscape({"a": 100 * own, "b": own})
    with pytest.raises(ShapeError):
        landscape({"a": own, "b": own}, tags, fit=("no",))
