"""Filters and look-ups of pictures against the formula, in pieces and with slopes."""

import pytest
import torch
from scipy import ndimage

from holdfast.ops import filters, warp
from holdfast.ops.filters import quick_length, smooth
from holdfast.ops.image import smear


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_blur_is_that_of_scipy_however_it_is_cut(monkeypatch: pytest.MonkeyPatch):
    x = drawn(3, 2, 40, 33)
    true = ndimage.gaussian_filter(x.numpy(), (0, 0, 2.0, 2.0), mode="nearest")
    for piece in (1, 20_000, 1 << 19):
        monkeypatch.setattr(filters, "PIECE", piece)
        for planes in (x, x.transpose(2, 3).contiguous().transpose(2, 3), x[:, :1].expand_as(x)):
            want = true if planes.stride(1) else true[:, :1].repeat(2, 1)
            assert torch.allclose(smooth(planes, 2.0), torch.from_numpy(want), atol=1e-12)
    assert smooth(x[:0], 2.0).shape == (0, 2, 40, 33)


def test_a_blur_has_the_slope_of_its_transpose():
    x, weight = drawn(2, 1, 9, 7).requires_grad_(), drawn(2, 1, 9, 7)
    assert torch.allclose(smooth(x, 1.3), smooth(x.detach(), 1.3), atol=1e-12)
    assert torch.autograd.gradcheck(lambda v: (smooth(v, 1.3) * weight).sum(), x)


def test_rows_are_picked_as_gather_does(monkeypatch: pytest.MonkeyPatch):
    x = drawn(3, 2, 11)
    place = torch.randint(11, (3, 11), generator=torch.Generator().manual_seed(1))
    true = x.gather(2, place[:, None].expand_as(x))
    for kind in (torch.int32, torch.int64):
        assert torch.equal(warp.picked(x, place.to(kind)), true)
    assert warp.picked(x[:0], place[:0]).shape == (0, 2, 11)


def test_long_chains_are_followed_to_their_end(monkeypatch: pytest.MonkeyPatch):
    # Every pixel copies its right neighbour, which had its turn before: all hold the last one's.
    b, high, wide, reach = 5, 3, 60, 1
    width = wide + 2 * reach
    here = (torch.arange(high) + 2)[:, None] * width + torch.arange(wide) + 2
    there = (here + 1).expand(b, -1, -1).clone()
    there[..., -1] = here[:, -1]
    for piece in (1, 1 << 16):
        monkeypatch.setattr(warp, "PIECE", piece)
        found = warp.wandering(there, reach).view(b, high + 2, width)
        assert torch.equal(found[:, 2:, 2:].long(), here[:, -1:].expand(b, high, wide))
        assert torch.equal(found[:, :2].flatten(1), torch.arange(2 * width).int().expand(b, -1))


def test_lines_in_all_directions_repeat_the_border():
    x, weight = drawn(8, 2, 13, 10), torch.exp(-(torch.arange(7).double() ** 2) / 18)
    angle = torch.linspace(-3.1, 3.1, 8).double()
    got = smear(x, angle, 3.0, 7)
    for image, turn, out in zip(x, angle, got, strict=True):
        total = torch.zeros_like(image)
        for tap, w in enumerate(weight / weight.sum()):
            right, down = ((tap * f(turn) - 0.5).ceil().long() for f in (torch.cos, torch.sin))
            rows = (torch.arange(13) + down).clamp(0, 12)
            columns = (torch.arange(10) + right).clamp(0, 9)
            total += w * image[:, rows][:, :, columns]
        assert torch.allclose(out, total, atol=1e-12)


def test_lengths_of_transforms_have_small_factors():
    assert [quick_length(n) for n in (1, 7, 238, 254, 288)] == [1, 8, 240, 256, 288]
