"""Entities by hand; simulated noise keeps what it must."""

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.hooks.memorisation import gap, repeated
from holdfast.measures.outputs.entities import entity_f1, noise_profile
from holdfast.ops.entities import Span, spans, tagged, valid
from holdfast.readers.synthetic.tag_noise import (
    KINDS,
    from_matrix,
    noisy,
    sentences,
    systematic,
    transition,
)

N = 800


def test_spans_and_tags_are_inverse() -> None:
    row = [0, 1, 2, 2, 1, 3, 4, 0, 5]
    found = [Span(1, 4, 0), Span(4, 5, 0), Span(5, 7, 1), Span(8, 9, 2)]
    assert spans(row) == found and tagged(found, 9) == row
    assert spans([2, 2, 4]) == [Span(0, 2, 0), Span(2, 3, 1)]  # inner tags without a beginning
    assert spans([-100, 1, -100]) == [Span(1, 2, 0)] and spans([]) == []
    assert valid(torch.tensor([row, [2, 0, 0, 0, 0, 0, 0, 0, 0]])).tolist() == [True, False]


def test_each_error_once() -> None:
    clean = torch.tensor([[1, 2, 0, 3, 0, 1, 0, 0, 5, 6, 0, 0]])
    # right; missing; wrong type; partial; and one where nothing is
    wrong = torch.tensor([[1, 2, 0, 0, 0, 3, 0, 0, 5, 0, 0, 1]])
    found = noise_profile(wrong, clean)
    assert found.errors == {"missing": 1, "non-entity": 1, "wrong type": 1, "partial": 1}
    # one right of four found and four there
    assert found.scores == (0.25, 0.25, 0.25) and found.level == 0.75
    assert all(r.low <= r.value <= r.high for r in found.readings())
    assert entity_f1(clean, clean).f1 == 1 and entity_f1(0 * clean, 0 * clean).f1 == 1
    with pytest.raises(ShapeError):
        noise_profile(clean, clean[:, 1:])


@pytest.mark.parametrize("kind", [*KINDS, "mixture"])
def test_noise_is_valid_and_of_the_asked_rate(kind: str) -> None:
    data = sentences(N, Dice.of(N))
    out = noisy(data.y, kind, 0.3, Dice.of(N, 1))  # type: ignore[arg-type]
    found = noise_profile(out, data.y)
    assert bool(valid(out).all()) and found.entities == 2 * N
    hits = sum(found.errors.values()) / found.entities
    assert abs(hits - 0.3) < 0.035, (kind, found.errors)
    name = {"boundary": "partial"}.get(kind, kind)
    assert kind == "mixture" or found.errors[name] >= 0.8 * sum(found.errors.values())
    assert torch.equal(noisy(data.y, kind, 0.0, Dice.of(N)), data.y)  # type: ignore[arg-type]
    part = noisy(data.y[5:9], kind, 0.3, Dice.of(N, 1).part(slice(5, 9)), types=3)  # type: ignore[arg-type]
    assert torch.equal(part, out[5:9])


def test_matrix_noise() -> None:
    data = sentences(N, Dice.of(N, 2))
    assert torch.equal(from_matrix(data.y, torch.eye(7).double(), Dice.of(N)), data.y)
    real = systematic(data, 0.25)
    table = transition(data.y, real.y, 7)
    assert torch.allclose(table.sum(1), torch.ones(7).double())
    out = from_matrix(data.y, table, Dice.of(N))
    assert bool(valid(out).all())
    levels = [noise_profile(t, data.y).level for t in (real.y, out)]
    assert abs(levels[0] - 0.25) < 0.05 and abs(levels[0] - levels[1]) < 0.02
    with pytest.raises(ShapeError):
        from_matrix(data.y, torch.eye(2).double(), Dice.of(N))
    with pytest.raises(ConfigError):
        noisy(data.y, "missing", 1.5, Dice.of(N))


def test_memorisation_by_hand() -> None:
    clean, wrong = torch.tensor([0, 1, 2, -100]), torch.tensor([0, 2, 1, 1])
    assert repeated(torch.tensor([1, 2, 2, 1]), wrong, clean) == (0.5, 0.5)
    assert repeated(clean, clean, clean)[0] != repeated(clean, clean, clean)[0]  # NaN
    assert gap([0.5, 1.0], [0.5, 0.0]) == 0.5
