"""Corruptions that know depth, against closed forms and naive loops."""

import math

import numpy as np
import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.shifts.camera import xy_motion_blur_3d, z_motion_blur_3d
from holdfast.shifts.focus import blurred, far_focus, near_focus, refocused
from holdfast.shifts.lighting import flash, multi_illumination, normals, relit, shadow
from holdfast.shifts.scene import depth_of, fog_3d
from holdfast.shifts.sensor import color_quant, iso_noise, low_light

SIDE = 64


def scene(rows=2, near=0.2, far=0.8):
    """A textured plane near on the left, one far on the right."""
    x = torch.rand(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).double()
    depth = torch.full((rows, 1, SIDE, SIDE), near).double()
    depth[..., SIDE // 2 :] = far
    return x, depth


def batch_of(x, depth=None):
    more = {} if depth is None else {"depth": depth}
    return Batch(x, torch.zeros(len(x), dtype=torch.long), torch.arange(len(x)), None, more)


def shifted(shift, x, depth, severity):
    return shift(batch_of(x, depth), severity, Dice.of(len(x))).x


def energy(x):
    """How much neighbours differ, left and right of the seam."""
    step = (x[..., 1:] - x[..., :-1]).abs().mean((0, 1, 2))
    quarter = SIDE // 8
    return float(step[quarter : 3 * quarter].mean()), float(step[5 * quarter : 7 * quarter].mean())


def test_depth_in_any_unit_and_what_is_no_depth():
    x, depth = scene()
    same = depth_of(batch_of(x, 7 * depth), x)
    assert torch.allclose(same, depth / 0.8)
    bad = depth.clone()
    bad[0, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), -1.0])
    assert depth_of(batch_of(x, bad), x)[0, 0, 0, :3].tolist() == [0, 0, 0]
    plane = depth_of(batch_of(x), x)
    assert (plane[:, :, 1:] < plane[:, :, :-1]).all()
    with pytest.raises(ShapeError):
        fog_3d(batch_of(x, depth[..., 1:]), 0.5)


@pytest.mark.parametrize("level", [1, 3, 5])
def test_fog_is_the_law_of_attenuation(level):
    x, depth = scene()
    depth[..., :4], depth[..., -1] = 0, 1
    kept = torch.exp(-4.0 * level * depth)
    want = kept * x + (1 - kept) * x.mean((1, 2, 3), keepdim=True)
    out = shifted(fog_3d, x, depth, level / 5)
    assert torch.allclose(out, want)
    assert torch.equal(out[..., :4], x[..., :4])


def naive_refocus(x, depth, aperture, focus):
    cuts = np.quantile(depth.numpy(), np.linspace(0, 1, 9))
    layers = []
    for d in cuts:
        r = min(aperture * abs(d - cuts[focus]) / d, max(x.shape[1:]) / 2)
        layers.append(x if r < 0.1 else naive_blur(x, r))
    out = torch.zeros_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            d = float(depth[0, i, j])
            k = min(int(np.searchsorted(cuts, d, side="right")) - 1, 7)
            width = cuts[k + 1] - cuts[k]
            s = (d - cuts[k]) / width if width > 0 else 0.0
            a, b = 1 - s**2, 1 - (1 - s) ** 2
            out[:, i, j] = (a * layers[k][:, i, j] + b * layers[k + 1][:, i, j]) / (a + b)
    return out


def naive_blur(x, sigma):
    half = math.ceil(3 * sigma)
    taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    out = x.numpy().copy()
    for axis in (1, 2):
        big = np.pad(out, [(half, half) if a == axis else (0, 0) for a in range(3)], mode="edge")
        n = out.shape[axis]
        out = sum(w * np.take(big, range(t, t + n), axis) for t, w in enumerate(taps))
    return torch.tensor(out)


def test_blur_of_each_image_is_its_own():
    x = torch.rand(3, 2, 9, 14, generator=torch.Generator().manual_seed(2)).double()
    sigma = torch.tensor([0.05, 1.2, 3.0]).double()
    out = blurred(x, sigma)
    assert torch.equal(out[0], x[0])
    for k in (1, 2):
        assert torch.allclose(out[k], naive_blur(x[k], float(sigma[k])))


@pytest.mark.parametrize("focus", [0, 7])
def test_refocusing_is_a_naive_loop(focus):
    g = torch.Generator().manual_seed(3)
    x = torch.rand(2, 3, 12, 10, generator=g).double()
    depth = 0.2 + 0.8 * torch.rand(2, 1, 12, 10, generator=g).double()
    out = refocused(x, depth, 2.5, focus)
    for k in range(2):
        assert torch.allclose(out[k], naive_refocus(x[k], depth[k], 2.5, focus), atol=1e-9)


def test_the_plane_in_focus_stays_sharp():
    x, depth = scene()
    clean = energy(x)
    for shift, sharp in ((near_focus, 0), (far_focus, 1)):
        seen = [energy(shifted(shift, x, depth, k / 5)) for k in (1, 3, 5)]
        assert all(s[sharp] > 0.95 * clean[sharp] for s in seen)
        blurry = [s[1 - sharp] for s in seen]
        assert blurry[0] < 0.9 * clean[1 - sharp]
        assert blurry == sorted(blurry, reverse=True)


def test_near_things_smear_as_the_inverse_of_their_depth():
    x, depth = scene(6)
    x = torch.zeros_like(x)
    x[:, :, SIDE // 2, SIDE // 4] = 1
    x[:, :, SIDE // 2, 3 * SIDE // 4] = 1
    out = shifted(xy_motion_blur_3d, x, depth, 1.0).sum(1)

    def length(part):  # standard deviation of a uniform line, along both axes
        i, j = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE // 2), indexing="ij")
        w = part / part.sum((1, 2), keepdim=True)
        spread = [((w * c**2).sum((1, 2)) - (w * c).sum((1, 2)) ** 2) for c in (i, j)]
        return (12 * sum(spread)).sqrt()

    near, far = length(out[:, :, : SIDE // 2]), length(out[:, :, SIDE // 2 :])
    assert float((near / far).mean()) == pytest.approx(4, rel=0.3)  # lines of few pixels
    assert float(near.mean()) == pytest.approx(SIDE / 512 * math.hypot(62.5, 37.5), rel=0.25)


def test_motion_at_one_depth_is_a_uniform_blur():
    ramp = torch.linspace(0, 1, SIDE).double().expand(3, 1, SIDE, SIDE)
    flat = torch.ones(3, 1, SIDE, SIDE).double()
    out = shifted(xy_motion_blur_3d, ramp, flat, 1.0)
    inner = out[:, 0, 20:-20, 20:-20] - ramp[:, 0, 20:-20, 20:-20]
    assert float(inner.std((1, 2)).max()) < 1e-7  # a ramp moves as a whole, by half of the path
    half = inner.mean((1, 2)).abs() * (SIDE - 1)
    assert ((half >= SIDE / 512 * 25) & (half <= SIDE / 512 * 37.5)).all()
    disc = torch.rand(2, 1, SIDE, SIDE).double()
    ahead = shifted(z_motion_blur_3d, disc, torch.ones_like(disc), 1.0)
    change = (ahead - disc).abs()[:, 0]
    assert change[:, 31:33, 31:33].mean() < change.mean()  # the middle stays


def test_flash_is_strongest_on_what_is_near_and_faces_the_camera():
    x, depth = 0.2 * torch.ones(1, 3, SIDE, SIDE).double(), scene(1)[1]
    out = shifted(flash, x, depth, 1.0)
    assert float(out[0, 0, 5, 5]) == pytest.approx(0.2 * (1 + 1 / 0.4))
    assert float(out[0, 0, 5, -5]) == pytest.approx(0.2 * (1 + (1 / 4) ** 2 / 0.4))
    slope = torch.linspace(0, 1, SIDE).double().expand(1, 1, SIDE, SIDE)
    n = normals(slope)[0, :, 5, 5]
    assert n.tolist() == pytest.approx([x / math.hypot(1, 64 / 63) for x in (64 / 63, 0, 1)])


def test_a_wall_throws_a_shadow_away_from_the_light():
    depth = torch.ones(1, 1, SIDE, SIDE).double()
    depth[..., 30:34] = 0.5
    right, left = (
        relit(depth, torch.tensor([a]).double(), torch.tensor([0.6]).double())[0, 0, 10]
        for a in (0.0, math.pi)
    )
    plain = 0.2 + 0.8 * math.sin(0.6)
    assert float(right[24]) == pytest.approx(0.2)  # the light comes from the right
    assert float(right[44]) == pytest.approx(plain)
    assert float(left[44]) == pytest.approx(0.2)
    assert float(left[24]) == pytest.approx(plain)
    x = torch.rand(3, 3, SIDE, SIDE).double()
    bright = [
        float(shifted(shadow, x, depth.expand(3, -1, -1, -1), k / 5).mean()) for k in range(6)
    ]
    assert bright == sorted(bright, reverse=True)


def test_sensor_moments_and_levels():
    x = torch.full((2, 3, 128, 128), 0.5).double()
    out = iso_noise(batch_of(x), 0.2, Dice.of(2)).x
    assert float(out.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(out.std()) == pytest.approx(math.hypot((0.5 / 25) ** 0.5, 0.056), rel=0.03)
    ramp = torch.linspace(0.1, 0.9, 128).double().expand(2, 3, 128, 128)
    dark = low_light(batch_of(ramp), 1.0, Dice.of(2)).x.mean((0, 1, 2))
    want = 0.2 * ((ramp[0, 0, 0] - 0.1) / 0.8) ** 2
    assert torch.allclose(dark[16:], want[16:], atol=0.01)
    for level in range(1, 6):
        bits = 6 - level
        seen = color_quant(batch_of(ramp), level / 5, Dice.of(2)).x
        assert len(seen.unique()) <= 2**bits
        kept = (torch.round(ramp * 255).long() >> (8 - bits)) << (8 - bits)
        assert torch.allclose(seen * 255, kept.double())


@pytest.mark.parametrize(("level", "count", "low", "high"), [(1, 5, 0.2, 0.3), (5, 1, 1.0, 1.1)])
def test_several_lights_add_up(level, count, low, high):
    x, depth = scene()
    got = shifted(multi_illumination, x, depth, level / 5)
    u = Dice.of(2).spawn("multi-illumination").uniform((3, 5), dtype=torch.float64)
    for i in range(2):
        light = sum(
            (low + (high - low) * u[i, 2, k])
            * relit(
                depth[i : i + 1] / 0.8,
                2 * math.pi * u[i : i + 1, 0, k],
                math.pi / 9 * (1 + 2 * u[i : i + 1, 1, k]),
            )[0]
            for k in range(count)
        )
        assert torch.allclose(got[i], (x[i] * light).clamp(0, 1), atol=1e-12)
