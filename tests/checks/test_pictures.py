"""Pictures of rows and changes say what they show."""

from __future__ import annotations

import base64
import io

import pytest
import torch
from tests.checks.subjects import findings, net, subject
from torch import Tensor

from holdfast.checks.pictures import MORE, SAME, difference, png
from holdfast.checks.worst_case import WorstCase


def seen(address: str) -> Tensor:
    """The pixels of a data: address, `(H, W)` or `(H, W, 3)`, in [0, 1]."""
    import numpy as np
    from PIL import Image

    raw = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return torch.from_numpy(np.array(Image.open(io.BytesIO(raw)))).float() / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_the_largest_change_fills_the_range_and_the_gain_says_how_often(channels: int) -> None:
    x = torch.full((channels, 8, 8), 0.5)
    moved = x.clone()
    moved[:, 0, 0], moved[:, 7, 7] = 0.5 + 1 / 16, 0.5 - 1 / 32
    address, gain = difference(x, moved)
    assert gain == 16
    image = seen(address)
    more, less, same = image[0, 0], image[-1, -1], image[40, 40]
    if channels == 1:
        assert torch.allclose(more, torch.tensor(MORE), atol=3e-3)
        assert torch.allclose(same, torch.tensor(SAME), atol=3e-3)
        assert less[2] > less[0]  # bluer, and half of the way
    else:
        assert float(more.mean()) == pytest.approx(1, abs=0.01)
        assert float(same.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(less.mean()) == pytest.approx(0.25, abs=0.01)


def test_no_change_and_whole_changes_are_not_magnified() -> None:
    x = torch.zeros(1, 4, 4)
    assert difference(x, x)[1] == 1 and difference(x, 1 - x)[1] == 1
    assert difference(x, x + 1e-9)[1] == 100  # and no further


def test_a_picture_is_shown_in_its_own_range() -> None:
    x = torch.linspace(0, 255, 64).view(1, 8, 8)
    assert torch.allclose(seen(png(x, scale=8, high=255)), x[0] / 255, atol=1 / 255)
    assert difference(x, x + 25.5, high=255)[1] == 10


@pytest.mark.parametrize(
    ("spec", "at"), [("rotation:60", "degrees"), ("weights:0.5", "weights 0."), ("patch:5x5", "")]
)
def test_every_threat_has_failures_to_look_at(spec: str, at: str) -> None:
    model, x, y = net()
    attacks = WorstCase(attacks=("attack:pgd",), probes=0)
    rows = findings(attacks, subject(model, x[:24], y[:24], spec))[1].figures[0].rows
    assert all(str(r["image"]).startswith("data:image/png;base64,") for r in rows)
    assert all(("changed" in r) == (not spec.startswith("weights")) for r in rows)
    assert all(at in str(r["breaks at"] or "") for r in rows)
