"""Films of ImageNet-P: lengths, first frames, small steps, geometry."""

import pytest
import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.image import smear
from holdfast.shifts.sequences import IMAGENET_P, IMAGENET_P_EXTRA, perturbed


def picture(side=32, rows=2):
    g = torch.Generator().manual_seed(0)
    small = torch.rand(rows, 3, 4, 4, generator=g)
    return torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("kind", IMAGENET_P + IMAGENET_P_EXTRA)
def test_every_kind_is_a_film_that_moves(kind):
    x = picture()
    film = perturbed(x, kind, dice=Dice.of(2, 1))
    assert film.shape == (2, 16 if kind == "translate" else 31, 3, 32, 32)
    assert ((film >= 0) & (film <= 1)).all() and film.dtype == x.dtype
    step = (film[:, 1:] - film[:, :-1]).abs().mean((2, 3, 4))
    assert (step > 0).any(1).all() and (step < 0.12).all()
    one = perturbed(x[1:], kind, dice=Dice.of(2, 1).part(slice(1, 2)))
    assert torch.allclose(one, film[1:], atol=1e-5)


def test_noise_starts_clean_and_is_drawn_anew():
    x = torch.full((3, 1, 64, 64), 0.5)
    for difficulty, std in ((1, 0.03), (2, 0.05), (3, 0.08)):
        film = perturbed(x, "gaussian-noise", difficulty=difficulty)
        assert torch.equal(film[:, 0], x)
        assert (film[:, 1:] - 0.5).std() == pytest.approx(std, rel=0.03)
        assert not torch.equal(film[:, 1], film[:, 2])
    count = perturbed(x, "shot-noise")[:, 1:]
    assert count.var() == pytest.approx(0.5 / 300, rel=0.05)


def test_steps_of_large_images():
    x = picture(224, 1).double()
    film = perturbed(x, "motion-blur")
    level = smear(x, torch.zeros(1, dtype=torch.float64), 3.0, 21)
    assert torch.allclose(film[:, 30], level, atol=1e-6)
    film = perturbed(x, "brightness")
    assert torch.equal(film[:, 15], x)
    value = x.amax(1)
    assert torch.allclose(film[:, 20].amax(1), (value + 0.1).clamp(max=1))
    assert torch.allclose(film[:, 10].amax(1), (value - 0.1).clamp(min=0))
    film = perturbed(x, "translate")
    assert film.shape[1] == 41
    assert torch.allclose(film[:, 20], x, atol=1e-6)
    assert torch.allclose(film[:, 25][..., 20:-20], x.roll(5, 3)[..., 20:-20], atol=1e-6)


def test_geometry_passes_through_the_image_itself():
    x = picture().double()
    for kind in ("rotate", "tilt", "shear"):
        film = perturbed(x, kind)
        assert torch.allclose(film[:, 15], x, atol=1e-6), kind
        assert torch.allclose(film[:, 16].mean((2, 3)), x.mean((2, 3)), atol=0.05)
    film = perturbed(x, "scale")  # of small images: 0.7 to 1.3
    assert torch.allclose(film[:, 15], x, atol=1e-6)
    assert (film[:, 0][..., :3, :] == 0).all(), "what is shrunk has a black frame"
    turned = perturbed(torch.rot90(x, 1, (2, 3)), "rotate")[:, 3]
    assert torch.allclose(turned, torch.rot90(perturbed(x, "rotate")[:, 3], 1, (2, 3)), atol=1e-6)


def test_zoom_is_a_running_mean():
    x = picture()
    film = perturbed(x, "zoom-blur")
    assert torch.equal(film[:, 0], x)
    last = [(i + 1) * film[:, i] - i * film[:, i - 1] for i in (29, 30)]
    assert (last[0] - last[1]).abs().mean() < (x - last[1]).abs().mean() / 5


def test_difficulty_skips_frames():
    x = picture()
    easy, hard = perturbed(x, "rotate"), perturbed(x, "rotate", difficulty=3)
    assert torch.equal(easy[:, ::3], hard)


def test_bad_input():
    with pytest.raises(ConfigError, match="kind"):
        perturbed(picture(), "rain")
    with pytest.raises(ConfigError, match="difficulty"):
        perturbed(picture(), "rotate", difficulty=4)
    with pytest.raises(Unsupported):
        perturbed(picture() + 1, "rotate")
