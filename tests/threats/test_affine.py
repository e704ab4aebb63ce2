"""Turning and shifting against exact cases and against SciPy's rotation."""

import pytest
import torch
from scipy import ndimage

from holdfast.core.errors import Unsupported
from holdfast.threats.affine import Rotation, Translation
from holdfast.threats.norms import LInf
from holdfast.threats.product import Product


def images(rows: int = 3, height: int = 8, width: int = 8) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.rand(rows, 2, height, width, generator=g, dtype=torch.float64)


def test_a_quarter_turn_is_exact_and_anticlockwise() -> None:
    x = images()
    turned = Rotation(degrees=90.0).apply(x, torch.ones(3, 1, dtype=torch.float64))
    assert torch.allclose(turned, torch.rot90(x, 1, (2, 3)), atol=1e-9)


@pytest.mark.parametrize("angle", [7.0, -20.0, 33.0])
@pytest.mark.parametrize("size", [(9, 9), (8, 12)])
def test_turns_are_those_of_scipy(angle: float, size: tuple[int, int]) -> None:
    x = torch.zeros(1, 1, *size, dtype=torch.float64)
    x[..., 3:5, 3:6] = torch.rand(2, 3, generator=torch.Generator().manual_seed(1)).double()
    turned = Rotation(degrees=40.0).apply(x, torch.tensor([[angle / 40]], dtype=torch.float64))
    theirs = ndimage.rotate(x[0, 0].numpy(), angle, reshape=False, order=1)
    assert torch.allclose(turned[0, 0], torch.from_numpy(theirs), atol=1e-9)


def test_whole_pixel_shifts_are_exact_with_zeros_and_with_border() -> None:
    x = images(1, 10, 20)
    right_down = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    moved = Translation(share=0.1).apply(x, right_down)  # 2 to the right, 1 down
    assert torch.allclose(moved[..., 1:, 2:], x[..., :-1, :-2], atol=1e-9)
    assert moved[..., 0, :].abs().max() < 1e-9
    kept = Translation(share=0.1, padding="border").apply(x, right_down)
    assert torch.allclose(kept[..., 0, 2:], x[..., 0, :-2], atol=1e-9)


def test_zeros_are_the_nearest_valid_value_where_zero_is_not_valid() -> None:
    x = images() + 2
    moved = Translation(share=0.5, low=2.0, high=3.0).apply(x, torch.ones(3, 2).double())
    assert moved.min() == 2


def test_a_product_resamples_once_and_turns_before_it_shifts() -> None:
    x = images()
    both = Product(parts=(Rotation(degrees=90.0), Translation(share=0.25)))
    change = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64).expand(3, 3)
    expected = torch.zeros_like(x)
    expected[..., 2:] = torch.rot90(x, 1, (2, 3))[..., :-2]
    assert torch.allclose(both.apply(x, change), expected, atol=1e-9)
    assert both.slices(x) == [slice(0, 1), slice(1, 3)]


def test_one_resampling_blurs_less_than_two() -> None:
    x = images()
    both = Product(parts=(Rotation(degrees=20.0, padding="border"),) * 2)
    there_and_back = torch.tensor([[1.0, -1.0]], dtype=torch.float64).expand(3, 2)
    assert torch.allclose(both.apply(x, there_and_back), x, atol=1e-9)


def test_a_product_with_a_ball_keeps_every_part_inside() -> None:
    x = images()
    both = Product(parts=(Rotation(degrees=10.0), LInf(radius=0.1)))
    change = both.project(x, torch.full_like(both.none(x), 9.0))
    turned = Rotation(degrees=10.0).apply(x, change[:, :1])
    y = both.apply(x, change)
    assert (y - turned).abs().max() <= 0.1 + 1e-12
    assert torch.allclose(y, (turned + 0.1).clamp(max=1))


def test_derivative_is_that_of_finite_differences() -> None:
    x = images(2)
    both = Product()
    start = torch.tensor([[0.31, 0.2, -0.43], [-0.7, 0.11, 0.29]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: both.apply(x, c), start.requires_grad_())


def test_only_images_can_be_turned() -> None:
    x = torch.zeros(2, 5)
    with pytest.raises(Unsupported, match="images"):
        Rotation().apply(x, torch.zeros(2, 1))
