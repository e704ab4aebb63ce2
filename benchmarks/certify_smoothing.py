"""Randomized smoothing: samples per second on a small CNN, and how many samples a proof needs.

Run `python benchmarks/certify_smoothing.py`; it prints its section of `docs/benchmarks.md` and
rewrites it. Speed: the counting loop of the paper's code, written out, and ours, in turns. Samples:
votes of a trained net on real digits give winning shares; both procedures then draw from these
shares, many times over, so that no share of the result hangs on one draw.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from page import write
from scipy.special import ndtr
from torch import Tensor, nn

from holdfast.certify.smoothing.sequential import share_test
from holdfast.certify.smoothing.votes import votes
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.defend.smoothed import smoothed
from holdfast.objectives.noisy import Noisy
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.run.loop import Training

SIGMA, ALPHA, FIXED, RADII = 0.5, 0.001, 100_000, (0.25, 0.5, 0.75, 1.0)
ROUNDS, ROWS, COPIES, REPEATS = 15, 64, 84, 100_000


def convolutional() -> nn.Sequential:
    """A CNN for inputs of 3 x 32 x 32."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip


def published(model: nn.Module, x: Tensor, batch: int) -> None:
    """The counting loop of the paper's code: repeat, add noise, forward, count on the host."""
    counts = np.zeros(10, dtype=int)
    copies = x.repeat((batch, 1, 1, 1))
    for answer in model(copies + SIGMA * torch.randn_like(copies)).argmax(1).numpy():
        counts[answer] += 1


def speeds() -> list[str]:
    """Lines of the table of speeds; tools take turns, the median of the turns counts."""
    torch.manual_seed(0)
    model, x = convolutional().eval(), torch.rand(ROWS, 3, 32, 32)
    noisy, zeros, one = smoothed(model, sigma=SIGMA), torch.zeros(64, 3, 32, 32), Dice.of(1)
    tools: dict[str, tuple[Callable[[], object], int]] = {
        "forward passes alone, 64 at a time": (lambda: model(zeros), 64),
        "noise alone": (lambda: torch.randn(64, 3, 32, 32), 64),
        "published loop, batch 400": (lambda: published(model, x[0], 400), 400),
        "published loop, batch 1000": (lambda: published(model, x[0], 1000), 1000),
        "holdfast, noise of its own for each row": (
            lambda: votes(noisy, x[:1], 8 * COPIES, one), 8 * COPIES),
        f"holdfast, noise shared by {ROWS} rows": (
            lambda: votes(noisy, x, COPIES, Dice.of(ROWS), shared=True), ROWS * COPIES),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in tools}
    with torch.no_grad():
        for turn in range(ROUNDS + 1):
            for name, (tool, count) in tools.items():
                start = time.process_time()
                tool()
                if turn:  # the first turn warms
                    taken[name].append((time.process_time() - start) / count)
    base = median(taken["published loop, batch 1000"])
    return [
        f"| {name} | {1 / median(t):,.0f} | {1 / min(t):,.0f} | {base / median(t):.2f} |"
        for name, t in taken.items()
    ]


def shares(count: int, copies: int) -> np.ndarray:
    """Shares of noisy copies that a net trained on noise gives to the right digit."""
    folder = Path(os.environ.get("HOLDFAST_DATA", "data")) / "mnist"

    def read(name: str, head: int) -> np.ndarray:
        return np.frombuffer(gzip.open(folder / name).read(), np.uint8, offset=head)

    x = torch.tensor(read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)) / 255
    y = torch.tensor(read("train-labels-idx1-ubyte.gz", 8)).long()
    x = nn.functional.pad(x, (2, 2, 2, 2)).expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    model = convolutional()
    train = Batches(x=x[:12_000], y=y[:12_000], size=64)
    Training(objective=Noisy(sigma=SIGMA), epochs=3, optimizer=Later("torch:Adam", lr=2e-3))(
        model, train
    )
    test, labels = x[-count:].contiguous(), y[-count:]
    with torch.no_grad():
        found = votes(smoothed(model, sigma=SIGMA), test, copies, Dice.of(count), shared=True)
    won = found.gather(1, labels[:, None])[:, 0]
    return ((won + 0.5) / (copies + 1)).double().numpy()


def drawn(p: np.ndarray, rng: np.random.Generator) -> Callable[[Tensor, int], Tensor]:
    """Wins of rows with known shares among n copies."""
    return lambda rows, n: torch.as_tensor(rng.binomial(n, p[rows.numpy()]))


def samples(p: np.ndarray) -> list[str]:
    """Lines of the table of samples, one per radius."""
    rng, lines = np.random.default_rng(0), []
    each = REPEATS // len(p)
    for radius in RADII:
        odds = radius / SIGMA
        limit = float(ndtr(odds))
        bound = clopper_pearson_lower(torch.as_tensor(rng.binomial(FIXED, p)), FIXED, ALPHA)
        fixed = float((bound > limit).double().mean())
        many = np.repeat(p, each)
        found = share_test(drawn(many, rng), len(many), odds, alpha=ALPHA, most=FIXED)
        edge = np.full(REPEATS, limit)
        worst = share_test(drawn(edge, rng), REPEATS, odds, alpha=ALPHA, most=FIXED)
        used = found.draws.double()
        lines.append(
            f"| {radius} | {100 * fixed:.1f} % | {100 * float(found.passed.double().mean()):.1f} % "
            f"| {float(used.mean()):,.0f} | {float(used.median()):,.0f} "
            f"| {FIXED / float(used.mean()):,.0f} | {FIXED / float(used.median()):,.0f} "
            f"| {float(worst.passed.double().mean()):.5f} |"
        )
    return lines


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    count, copies = 400, 2000
    body = [
        f"Speed: 3 x 32 x 32 inputs, a CNN of 16 and 32 channels, float32, one thread on a CPU; "
        f"median and best of {ROUNDS} turns, CPU time. The published loop is written out here, as "
        "its code asks for a GPU. Shared noise goes through the first layer once for all rows.",
        "",
        "| tool | samples / s | best turn | times the published loop (1000) |",
        "|---|---|---|---|",
        *speeds(),
        "",
        f"Samples: right shares of {count} held-out digits behind noise of {SIGMA} (MNIST, the "
        f"same CNN trained on noise, {copies} copies each); {REPEATS:,} simulated repetitions, "
        f"alpha {ALPHA}. Fixed: {FIXED:,} samples and Clopper-Pearson. Sequential: at most as many."
        " The last column is the share of rows exactly at the limit that pass: at most alpha.",
        "",
        "| radius | certified, fixed | certified, sequential | mean samples | median "
        "| fewer, mean | fewer, median | passes at the limit |",
        "|---|---|---|---|---|---|---|---|",
        *samples(shares(count, copies)),
    ]
    write("Certify: randomized smoothing", "\n".join(body))


if __name__ == "__main__":
    main()
