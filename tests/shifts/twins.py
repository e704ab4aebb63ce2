"""Naive twins of the released corruptions: NumPy and SciPy, one image at a time.

Images are `(H, W, C)` float64 in [0, 1]; what is random is drawn by the caller.
"""

import colorsys
import io
import math
from itertools import pairwise

import numpy as np
from PIL import Image
from scipy import ndimage

# As published, levels 1 to 5, at 32, 64 and 224 pixels.
ROWS = {
    "speckle-noise": {
        32: [(0.06,), (0.1,), (0.12,), (0.16,), (0.2,)],
        64: [(0.15,), (0.2,), (0.25,), (0.3,), (0.35,)],
        224: [(0.15,), (0.2,), (0.35,), (0.45,), (0.6,)],
    },
    "gaussian-blur": {
        32: [(0.4,), (0.6,), (0.7,), (0.8,), (1,)], 64: [(0.5,), (0.75,), (1,), (1.25,), (1.5,)],
        224: [(1,), (2,), (3,), (4,), (6,)],
    },
    "defocus-blur": {
        32: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
        64: [(0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)],
        224: [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    },
    "glass-blur": {
        32: [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
        64: [(0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)],
        224: [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    },
    "saturate": {
        32: [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
        64: [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)],
        224: [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
    },
    "frost": {
        32: [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
        64: [(1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)],
        224: [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    },
    "snow": {
        32: [(0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
             (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
             (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)],
        64: [(0.1, 0.2, 1, 0.6, 8, 3, 0.8), (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
             (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
             (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6)],
        224: [(0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
              (0.55, 0.3, 4, 0.9, 12, 8, 0.7), (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
              (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)],
    },
    "elastic-transform": {
        size: [tuple(unit * v for v in row) for row in rows]
        for size, unit, rows in (
            (32, 32, [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05),
                      (0.1, 0.03, 0.03)]),
            (64, 64, [(0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03),
                      (0.16, 0.03, 0.02)]),
            (224, 244, [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02),
                        (0.12, 0.01, 0.02)]),
        )
    },
    "spatter": {
        32: [(0.62, 0.1, 0.7, 0.7, 0.5, 0), (0.65, 0.1, 0.8, 0.7, 0.5, 0),
             (0.65, 0.3, 1, 0.69, 0.5, 0), (0.65, 0.1, 0.7, 0.69, 0.6, 1),
             (0.65, 0.1, 0.5, 0.68, 0.6, 1)],
        64: [(0.62, 0.1, 0.7, 0.7, 0.6, 0), (0.65, 0.1, 0.8, 0.7, 0.6, 0),
             (0.65, 0.3, 1, 0.69, 0.6, 0), (0.65, 0.1, 0.7, 0.68, 0.6, 1),
             (0.65, 0.1, 0.5, 0.67, 0.6, 1)],
        224: [(0.65, 0.3, 4, 0.69, 0.6, 0), (0.65, 0.3, 3, 0.68, 0.6, 0),
              (0.65, 0.3, 2, 0.68, 0.5, 0), (0.65, 0.3, 1, 0.65, 1.5, 1),
              (0.67, 0.4, 1, 0.65, 1.5, 1)],
    },
}  # fmt: skip
ZOOMS = {
    64: [np.arange(1, top, 0.01) for top in (1.06, 1.11, 1.16, 1.21, 1.26)],
    224: [np.arange(1, 1.11, 0.01), np.arange(1, 1.16, 0.01), np.arange(1, 1.21, 0.02),
          np.arange(1, 1.26, 0.02), np.arange(1, 1.31, 0.03)],
}  # fmt: skip
COUNTS = {64: (7, 12, 16, 21, 26), 224: (12, 16, 11, 13, 11)}


def gaussian(x, sigma, mode="nearest", truncate=4.0):
    return ndimage.gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode=mode, truncate=truncate)


def gaussian_blur(x, sigma):
    return gaussian(x, sigma)


def defocus(x, radius, alias):
    small = radius <= 8
    grid = np.arange(-8, 9) if small else np.arange(-radius, radius + 1)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(float)
    tap = np.exp(-((np.arange(-1, 2) if small else np.arange(-2, 3)) ** 2) / (2 * alias**2))
    tap /= tap.sum()
    kernel = ndimage.correlate(disk / disk.sum(), tap[:, None] * tap, mode="mirror")
    return np.stack([ndimage.correlate(c, kernel, mode="mirror") for c in x.transpose(2, 0, 1)], 2)


def clipped_zoom(x, factor):
    out = []
    for axis in (0, 1):
        n = x.shape[axis]
        crop = math.ceil(n / factor)
        out.append(slice((n - crop) // 2, (n - crop) // 2 + crop))
    big = ndimage.zoom(x[out[0], out[1]], (factor, factor, 1), order=1)
    top, left = ((b - n) // 2 for b, n in zip(big.shape, x.shape[:2], strict=False))
    return big[top : top + x.shape[0], left : left + x.shape[1]]


def zoom_blur(x, factors):
    return (x + sum(clipped_zoom(x, f) for f in factors)) / (len(factors) + 1)


def saturate(x, a, b):
    out = np.empty_like(x)
    for place in np.ndindex(x.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*x[place])
        out[place] = colorsys.hsv_to_rgb(h, min(max(s * a + b, 0), 1), v)
    return out


def glass(x, sigma, reach, steps, stays=None, swap=False):
    """`steps` is `(rounds, 2, H - 2 reach, W - 2 reach)` offsets: rows, columns."""
    x = np.floor(gaussian(x, sigma) * 255 + 1e-9) / 255
    height, width = x.shape[:2]
    for k, step in enumerate(steps):
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                i, j = h - reach - 1, w - reach - 1
                if stays is not None and stays[k][i, j]:
                    continue
                other = h + step[0][i, j], w + step[1][i, j]
                held = x[h, w].copy()
                x[h, w] = x[other]
                if swap:
                    x[other] = held
    return np.clip(gaussian(x, sigma), 0, 1)


def motion(x, radius, sigma, angle):
    k = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    reach = 2 * radius
    big = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    out = np.zeros_like(x)
    for i, weight in enumerate(k):
        dx, dy = (math.ceil(i * f(angle) - 0.5) for f in (math.cos, math.sin))
        out += weight * big[reach + dy :, reach + dx :][: x.shape[0], : x.shape[1]]
    return out / sum(k)


def snow(x, row, noise, angle):
    layer = clipped_zoom((row[0] + row[1] * noise)[..., None], row[2])
    layer = np.clip(np.where(layer < row[3], 0, layer), 0, 1)
    layer = motion(layer, row[4], row[5], angle)
    grey = (x * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
    pale = row[6] * x + (1 - row[6]) * np.maximum(x, 1.5 * grey + 0.5)
    return np.clip(pale + layer + np.rot90(layer, 2), 0, 1)


def elastic(x, row, jitter, noise):
    height, width = x.shape[:2]
    s = min(height, width) // 3
    middle = np.array([width // 2, height // 2])
    before = middle + np.array([[s, s], [s, -s], [-s, -s]])
    after = before + row[2] * (2 * jitter - 1)
    matrix = np.linalg.solve(np.c_[after, np.ones(3)], before).T  # of output places: the inverse
    j, i = np.meshgrid(np.arange(width), np.arange(height))
    u, v = (m[0] * j + m[1] * i + m[2] for m in matrix)
    x = np.stack([ndimage.map_coordinates(c, (v, u), order=1, mode="mirror")
                  for c in x.transpose(2, 0, 1)], 2)  # fmt: skip
    dx, dy = (
        row[0] * (gaussian(2 * n - 1, row[1], "reflect", 3.0) if row[1] else 2 * n - 1)
        for n in noise
    )
    return np.stack([ndimage.map_coordinates(c, (i + dy, j + dx), order=1, mode="reflect")
                     for c in x.transpose(2, 0, 1)], 2)  # fmt: skip


def canny(x, sigma, low, high, blocks=False):
    """As scikit-image does it: ridges between pixels, label by label."""
    if sigma:
        inside = ndimage.gaussian_filter(np.ones_like(x), sigma, mode="constant")
        x = ndimage.gaussian_filter(x, sigma, mode="constant") / inside
    down, right = ndimage.sobel(x, 0), ndimage.sobel(x, 1)
    size = abs(down) + abs(right) if blocks else np.hypot(down, right)
    top = np.zeros(x.shape, bool)
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            a, b = down[i, j], right[i, j]
            if not size[i, j]:
                continue
            if abs(a) >= abs(b):
                straight, w = (1, 0), abs(b) / abs(a)
            else:
                straight, w = (0, 1), abs(a) / abs(b)
            slanted = (1, 1) if a * b >= 0 else ((1, -1) if straight == (1, 0) else (-1, 1))
            top[i, j] = all(
                size[i + t * slanted[0], j + t * slanted[1]] * w
                + size[i + t * straight[0], j + t * straight[1]] * (1 - w) <= size[i, j]
                for t in (1, -1)
            )  # fmt: skip
    label, count = ndimage.label(top & (size >= low), np.ones((3, 3)))
    strong = ndimage.maximum(top & (size >= high), label, range(1, count + 1)) if count else []
    return np.isin(label, 1 + np.flatnonzero(strong))


def water(noise, row):
    layer = ndimage.gaussian_filter(row[0] + row[1] * noise, row[2], mode="nearest")
    layer = np.floor(np.clip(np.where(layer < row[3], 0, layer), 0, 1) * 255)
    edges = canny(layer, 0, 50, 150, blocks=True)
    depth = ndimage.distance_transform_edt(~edges) if edges.any() else np.full(layer.shape, 20.0)
    depth = np.floor(ndimage.uniform_filter(np.minimum(depth, 20), 3, mode="mirror") + 1e-9)
    counts = np.bincount(depth.astype(int).ravel(), minlength=256)
    first = counts[int(depth.min())]
    if first < depth.size:
        level = np.round((np.cumsum(counts) - first) * (255 / (depth.size - first)))
        depth = level[depth.astype(int)]
    ker = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    depth = np.clip(ndimage.correlate(depth, ker, mode="mirror"), 0, 255)
    light = layer * np.round(ndimage.uniform_filter(depth, 3, mode="mirror"))
    return light / max(light.max(), 1e-12) * row[4]


def mud(noise, row):
    layer = ndimage.gaussian_filter(row[0] + row[1] * noise, row[2], mode="nearest")
    cover = ndimage.gaussian_filter((layer > row[3]).astype(float), row[4], mode="nearest")
    return np.where(cover < 0.8, 0, cover)


def line(c0, r0, c1, r1, side=28):
    """The light of one stroke, as `line_from_points` draws it."""
    if c1 == c0:
        return np.zeros((side, side))
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    off = np.clip(abs(rows - (r1 - r0) / (c1 - c0) * (columns - c0) - r0), 0, 2.3 - 1e-10)
    light = np.clip(np.log(1 - off / 2.3) + 1, 0, 1)
    light[:, : math.floor(c0)] = 0
    light[:, math.ceil(c1) :] = 0
    return light


def zigzag(r0, rise):
    theta = math.atan(rise / 23)
    d = 23 / math.cos(theta)
    points = [(0.0, 0.0)]
    points += [((2 * i + 1) * 2, (-1) ** i * 2) for i in range(math.floor((d - 2) / 4) + 1)]
    most = 4 * math.floor(d / 4)
    if d != most:
        points.append((d, points[-1][1] / (2 * (d - most))))
    c, s = math.cos(theta), math.sin(theta)
    turned = [(2 + c * u - s * v, r0 + s * u + c * v) for u, v in points]
    light = np.zeros((28, 28))
    for a, b in pairwise(turned):
        light = np.clip(light + line(*a, *b), 0, 1)
    return light


def pixelate(x, share):
    image = Image.fromarray((x * 255).round().astype(np.uint8))
    small = image.resize([int(n * share) for n in image.size], Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BOX)) / 255


def jpeg(x, quality):
    file = io.BytesIO()
    Image.fromarray((x * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def plasma(draws, side, decay):
    """Midpoint displacement, level by level, as the released program does it with NumPy."""
    sky, step, amplitude, used = np.zeros((side, side)), side, 1.0, 0
    draws = 2 * draws - 1
    while step >= 2:
        h, n = step // 2, side // step
        noise = draws[used : used + 3 * n * n].reshape(3, n, n)
        corner = sky[::step, ::step]
        four = corner + np.roll(corner, -1, 0)
        four = four + np.roll(four, -1, 1)
        sky[h::step, h::step] = middle = four / 4 + amplitude * noise[0]
        sides = middle + np.roll(middle, 1, 0) + corner + np.roll(corner, -1, 1)
        sky[::step, h::step] = sides / 4 + amplitude * noise[1]
        sides = middle + np.roll(middle, 1, 1) + corner + np.roll(corner, -1, 0)
        sky[h::step, ::step] = sides / 4 + amplitude * noise[2]
        step, amplitude, used = h, amplitude / decay**2, used + 3 * n * n
    return (sky - sky.min()) / (sky.max() - sky.min())
