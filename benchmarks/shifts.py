"""Corruptions of ImageNet-C: our batches against naive twins of the released formulas.

Run `python benchmarks/shifts.py`; it prints its section of `docs/benchmarks.md` and rewrites it.
The twins (`tests/shifts/twins.py`) are NumPy, SciPy and Pillow, one image at a time, as the
released program is; ours change a batch. All times are CPU milliseconds per image on one thread.
Where the package `imagecorruptions` can be imported (it is no dependency), it is a second peer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from page import write
from torch import Tensor, nn

from holdfast.checks.corruptions import Corruptions
from holdfast.core.catalog import find
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.records import Subject
from holdfast.shifts import blur, digital, elastic, noise, spatter, weather, winter
from holdfast.shifts.published import IMAGENET_C, IMAGENET_C_EXTRA, Published, Row

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.shifts import twins  # the tests' own oracle

Twin = Callable[[np.ndarray, Row, np.random.Generator], np.ndarray]
SIDE, ROWS, LEVEL = 224, 8, 3
SMALL, MANY = 64, 200  # where the distributions are compared
DRAWS = {"fog": 50, "frost": 50}  # of each image there, where one is not enough


def _brightness(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    value = x.max(2, keepdims=True)
    raised = np.minimum(value + row[0], 1)
    return np.where(value > 0, x * raised / np.maximum(value, 1e-12), raised)


def _saturate(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    value = x.max(2, keepdims=True)
    share = (value - x.min(2, keepdims=True)) / np.maximum(value, 1e-12)
    wanted = np.clip(share * row[0] + row[1], 0, 1)
    below = (value - x) / np.maximum(value * share, 1e-12)
    return value - value * wanted * np.where(share > 0, below, [0.0, 1.0, 1.0])


def _impulse(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    hit, white = g.random(x.shape) < row[0], g.random(x.shape) < 0.5
    return np.where(hit, white, x)


def _sky(x: np.ndarray, decay: float, g: np.random.Generator) -> np.ndarray:
    side = 2 ** int(np.ceil(np.log2(max(x.shape[:2]))))
    return twins.plasma(g.random(side * side - 1), side, decay)[: x.shape[0], : x.shape[1]]


def _fog(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    return (x + row[0] * _sky(x, row[1], g)[..., None]) * x.max() / (x.max() + row[0])


def _frost(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    ridge, veil = _sky(x, winter.ROUGH, g), _sky(x, 2.0, g)
    ice = (1 - abs(2 * ridge - 1)) ** 2 * (0.4 + 0.6 * veil)
    return row[0] * x + row[1] * ice[..., None] * winter.TINT


def _glass(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    d = round(row[1])
    shape = (round(row[2]), 2, x.shape[0] - 2 * d, x.shape[1] - 2 * d)
    return twins.glass(x.copy(), row[0], d, g.integers(-d, d, shape))


def _motion(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    return twins.motion(x, round(row[0]), row[1], g.uniform(-np.pi / 4, np.pi / 4))


def _snow(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    own = (*row[:4], round(row[4]), *row[5:])
    return twins.snow(x, own, g.normal(size=x.shape[:2]), g.uniform(-3, -1) * np.pi / 4)


def _spatter(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    return x + twins.water(g.normal(size=x.shape[:2]), row)[..., None] * spatter.WATER


def _elastic(x: np.ndarray, row: Row, g: np.random.Generator) -> np.ndarray:
    return twins.elastic(x, row, g.random((3, 2)), g.random((2, *x.shape[:2])))


TWINS: dict[str, tuple[Published, Twin]] = {
    "gaussian-noise": (noise.GAUSSIAN, lambda x, r, g: x + r[0] * g.normal(size=x.shape)),
    "shot-noise": (noise.SHOT, lambda x, r, g: g.poisson(x / r[0]) * r[0]),
    "impulse-noise": (noise.IMPULSE, _impulse),
    "defocus-blur": (blur.DEFOCUS, lambda x, r, g: twins.defocus(x, *r)),
    "glass-blur": (blur.GLASS, _glass),
    "motion-blur": (blur.MOTION, _motion),
    "zoom-blur": (
        blur.ZOOM, lambda x, r, g: twins.zoom_blur(x, [1 + r[1] * i for i in range(int(r[0]))]),
    ),
    "snow": (winter.SNOW, _snow),
    "frost": (winter.FROST, _frost),
    "fog": (weather.FOG, _fog),
    "brightness": (weather.BRIGHT, _brightness),
    "contrast": (
        digital.CONTRAST, lambda x, r, g: (x - x.mean((0, 1))) * r[0] + x.mean((0, 1)),
    ),
    "elastic-transform": (elastic.ELASTIC, _elastic),
    "pixelate": (digital.PIXELS, lambda x, r, g: twins.pixelate(x, r[0])),
    "jpeg": (digital.QUALITY, lambda x, r, g: twins.jpeg(x, int(r[0]))),
    "speckle-noise": (noise.SPECKLE, lambda x, r, g: x + x * r[0] * g.normal(size=x.shape)),
    "gaussian-blur": (blur.GAUSSIAN, lambda x, r, g: twins.gaussian_blur(x, r[0])),
    "spatter": (spatter.SPATTER, _spatter),
    "saturate": (digital.SATURATION, _saturate),
}  # fmt: skip


def pictures(rows: int, side: int) -> Tensor:
    """Colour images whose amplitudes fall with frequency, as those of photographs do."""
    g = torch.Generator().manual_seed(0)
    fall = 1 / (torch.fft.rfftfreq(side) ** 2 + torch.fft.fftfreq(side)[:, None] ** 2 + 1e-4).sqrt()
    x = torch.fft.irfft2(torch.fft.rfft2(torch.randn(rows, 3, side, side, generator=g)) * fall)
    x = x - x.amin((1, 2, 3), keepdim=True)
    return (x / x.amax((1, 2, 3), keepdim=True) * 255).round() / 255


def ours(name: str, x: Tensor, seed: int = 0) -> Tensor:
    """The batch under a corruption, level 3."""
    batch = Batch(x, torch.zeros(len(x)).long(), torch.arange(len(x)))
    changed: Tensor = find(f"shift:{name}").thing(batch, LEVEL / 5, Dice.of(len(x), seed)).x
    return changed


def theirs(name: str, x: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same by the twin, image by image `(H, W, C)`."""
    table, twin = TWINS[name]
    row, g = table.at(LEVEL / 5, x.shape[1]), np.random.default_rng(seed)
    return np.stack([np.clip(twin(image, row, g), 0, 1) for image in x])


def seconds(call: Callable[[], object], runs: int = 2) -> float:
    """The least CPU time of some calls."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def packaged(name: str, images: np.ndarray) -> float | None:
    """Milliseconds an image that `imagecorruptions` takes; None if it is not there or fails.

    It reads and writes bytes, four times fewer than ours.
    """
    try:
        import cv2
        from imagecorruptions import corrupt
    except ImportError:
        return None
    cv2.setNumThreads(1)
    pixels = (images * 255).round().astype(np.uint8)
    call = {"jpeg": "jpeg-compression"}.get(name, name).replace("-", "_")
    try:
        return (
            1000
            * seconds(lambda: [corrupt(v, corruption_name=call, severity=LEVEL) for v in pixels], 3)
            / len(pixels)
        )
    except Exception as error:  # glass, fog and Gaussian blur fail under recent NumPy, scikit-image
        sys.stderr.write(f"imagecorruptions, {name}: {error!r}\n")
        return None


def told(changed: np.ndarray, image: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation and mean PSNR of changed images."""
    psnr = -10 * np.log10(((changed - image) ** 2).mean((1, 2, 3)) + 1e-12)
    return float(changed.mean()), float(changed.std()), float(psnr.mean())


def apart(name: str, x: Tensor, image: np.ndarray) -> tuple[float, float, float]:
    """Relative differences of mean, standard deviation and PSNR over all images.

    Clouds and frost differ so much from draw to draw that one draw of each image tells the mean to
    some two percent only: these images are drawn many times.
    """
    draws = DRAWS.get(name, 1)
    a = [told(ours(name, x, k).double().permute(0, 2, 3, 1).numpy(), image) for k in range(draws)]
    b = [told(theirs(name, image, k), image) for k in range(draws)]
    mean, std, psnr = (
        abs(np.mean(u) / np.mean(v) - 1)
        for u, v in zip(zip(*a, strict=True), zip(*b, strict=True), strict=True)
    )
    return mean, std, psnr


def copied(x: Tensor) -> float:
    """Milliseconds per image to read a batch and write another: the least that memory allows."""
    out = torch.empty_like(x)
    return 100 * seconds(lambda: [torch.mul(x, 0.5, out=out) for _ in range(10)]) / len(x)


def drawn(x: Tensor) -> tuple[float, ...]:
    """Nanoseconds a value: our uniform and normal draws, then NumPy's own."""
    g, shape = np.random.default_rng(0), x.shape[1:]
    calls: tuple[Callable[[], object], ...] = (
        lambda: Dice.of(len(x)).uniform(shape), lambda: Dice.of(len(x)).normal(shape),
        lambda: g.random(x.shape), lambda: g.normal(size=x.shape),
    )  # fmt: skip
    return tuple(1e9 * seconds(call, 4) / x.numel() for call in calls)


def audit() -> float:
    """CPU seconds of the corruption check of a small CNN on 1,000 images of 32 x 32, all levels."""
    x, y = pictures(1000, 32), torch.arange(1000) % 10
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 64, 10),
    ).eval()  # fmt: skip
    check = Corruptions(severities=(0.2, 0.4, 0.6, 0.8, 1.0))
    about = Subject(model=model, batches=Batches(x=x, y=y, size=128), seed=0)
    return seconds(lambda: list(check(about)), 1)


def timed(name: str, x: Tensor, image: np.ndarray) -> tuple[float, float, float | None]:
    """Milliseconds an image: ours, the twin's and the package's."""
    few = 1 if name == "glass-blur" else 2
    own = 1000 * seconds(lambda: ours(name, x), 5) / len(x)
    twin = 1000 * seconds(lambda: theirs(name, image[:few]), 1) / few
    return own, twin, packaged(name, image[: 2 * few])


def summed(times: dict[str, tuple[float, float, float | None]]) -> str:
    """What the whole set takes, by peer, in words."""
    own, twin = (sum(t[k] for t in times.values()) for k in (0, 1))
    ratios = [t[1] / t[0] for t in times.values()]
    geometric = float(np.exp(np.mean(np.log(ratios))))
    text = (
        f"All {len(times)} kinds together: ours {own:.0f} ms an image, the twins {twin:.0f} ms: "
        f"{twin / own:.1f} times faster; the geometric mean of the factors is {geometric:.1f}, at "
        f"least 10 times: {sum(r >= 10 for r in ratios)}, slower: {sum(r < 1 for r in ratios)}."
    )
    shared = {name: t for name, t in times.items() if t[2] is not None}
    if not shared:
        return text
    mine, package = (sum(t[k] or 0.0 for t in shared.values()) for k in (0, 2))
    slower = [name for name, t in shared.items() if t[0] > (t[2] or 0.0)]
    lost = ", ".join(sorted(set(times) - set(shared))) or "none"
    return text + (
        f" The package `imagecorruptions` (OpenCV, bytes in and out) on the {len(shared)} kinds "
        f"that run with present NumPy and scikit-image (not: {lost}): {package:.0f} ms against our "
        f"{mine:.0f} ms; it is quicker in {', '.join(slower) or 'none'}."
    )


def main() -> None:
    """Measure, compare, write the section."""
    torch.set_num_threads(1)
    x, small = pictures(ROWS, SIDE), pictures(MANY, SMALL)
    image, tiny = (v.double().permute(0, 2, 3, 1).numpy() for v in (x, small))
    lines = [
        "| corruption | ours, ms | twin, ms | faster | package, ms | mean | deviation | PSNR |",
        "|---|---|---|---|---|---|---|---|",
    ]
    times = {}
    for name in IMAGENET_C + IMAGENET_C_EXTRA:
        own, twin, package = times[name] = timed(name, x, image)
        off = apart(name, small, tiny)
        beside = "-" if package is None else f"{package:.1f}"
        lines.append(
            f"| {name} | {own:.1f} | {twin:.1f} | {twin / own:.1f} | {beside} | "
            + " | ".join(f"{100 * v:.2f} %" for v in off) + " |"
        )  # fmt: skip
        sys.stderr.write(f"{lines[-1]}\n")
    write(
        "Shifts: corruptions",
        f"Level {LEVEL} of ImageNet-C on {ROWS} colour images of {SIDE} x {SIDE} against naive "
        "twins of the released formulas in NumPy, SciPy and Pillow, image by image; CPU "
        "milliseconds per image, one thread. The last three columns: by how much mean, standard "
        f"deviation and PSNR of the results differ on {MANY} images of {SMALL} x {SMALL}, with "
        "independent draws (50 of each image under fog and frost, else one).\n\n"
        + "\n".join(lines)
        + f"\n\n{summed(times)}\n\nTo read a batch and write it once takes {copied(x):.2f} ms an "
        "image; contrast, brightness and saturation are some ten such passes, in NumPy too. Keyed "
        "draws, hashes of seed, row and place that do not depend on the batch, take "
        "{:.0f} ns (uniform) and {:.0f} ns (normal) a value, NumPy's {:.0f} and {:.0f} ns: they "
        "are most of what our noises cost. JPEG on the host is the codec of Pillow in both: what "
        "is left are conversions between bytes and numbers. So ten times each is out of reach; "
        "the sum is what an evaluation waits for.\n\n".format(*drawn(x))
        + "A corruption check of a small CNN on 1,000 colour images of 32 x 32, 15 kinds at 5 "
        f"levels: {audit():.0f} CPU seconds.",
    )


if __name__ == "__main__":
    main()
