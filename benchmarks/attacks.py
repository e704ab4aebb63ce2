"""PGD-40 against a loop by hand, torchattacks, foolbox and ART on the same nets.

Run `python benchmarks/attacks.py`; it prints its section of `docs/benchmarks.md` and rewrites it.
Tools take turns, so that what else the machine does meets all of them alike. Each repeat has its
own random starts; torchattacks and foolbox draw the same ones, this package draws others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log, sqrt
from statistics import mean, median, stdev

import torch
from page import write
from peers import RADIUS, STEPS, TOOLS
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.objectives.adversary import Departure, divergence
from holdfast.run.passes import Passes
from holdfast.threats.norms import LInf

ROWS, REPEATS = 512, 5
OURS = "holdfast, the attack alone"
STUDENT = 2.776  # 97.5 % point of Student's t with REPEATS - 1 degrees of freedom


def convolutional() -> nn.Module:
    """A CNN for 8 x 8 digits, 52,000 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def flat() -> nn.Module:
    """A net without convolutions, 85,000 weights."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
        nn.Linear(256, 10),
    )  # fmt: skip


def trained(make: Callable[[], nn.Module], kind: str, x: Tensor, y: Tensor) -> nn.Module:
    """A net trained plainly, on the worst inputs of PGD-5 (`pgd`), or by TRADES (`trades`)."""
    torch.manual_seed(0)
    model, inner, threat = make(), PGD(steps=5, travel=2.5, climb="soft"), LInf(radius=RADIUS)
    optimizer, epochs = torch.optim.Adam(model.parameters(), 2e-3), 12 if kind == "plain" else 20
    for epoch in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            a, b, dice = x[part], y[part], Dice(epoch, part)
            if kind == "plain":
                loss = nn.functional.cross_entropy(model(a), b)
            elif kind == "pgd":
                moved = a + inner(model, a, Untargeted(b), threat, dice=dice)
                loss = nn.functional.cross_entropy(model(moved), b)
            else:
                away = Departure(model(a).detach().log_softmax(1))
                moved, z = a + inner(model, a, away, threat, dice=dice), model(a)
                far = divergence(z.log_softmax(1), model(moved).log_softmax(1)).mean()
                loss = nn.functional.cross_entropy(z, b) + 6 * far
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@dataclass
class Taken:
    """What the repeats of one tool on one net gave."""

    seconds: list[float] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    passes: list[Passes] = field(default_factory=list)


def measured(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Taken]:
    """All tools in turn; whoever begins moves on with each repeat."""
    taken = {name: Taken() for name in TOOLS}
    names = list(TOOLS)
    for name in names:
        TOOLS[name](model, x[:64], y[:64], 0)  # loads, allocates, warms
    for repeat in range(REPEATS):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            start = time.process_time()
            moved, passes = TOOLS[name](model, x, y, repeat)
            taken[name].seconds.append(time.process_time() - start)
            if (moved - x).abs().max() > RADIUS + 1e-6 or moved.min() < 0 or moved.max() > 1:
                raise SystemExit(f"{name} left the ball or the box")
            with torch.no_grad():
                taken[name].broken.append(int((model(moved).argmax(1) != y).sum()))
            taken[name].passes.append(passes)
    return taken


def ratio(theirs: list[float], ours: list[float]) -> str:
    """Geometric mean of the paired ratios with its 95 % interval."""
    logs = [log(a / b) for a, b in zip(theirs, ours, strict=True)]
    half = STUDENT * stdev(logs) / sqrt(len(logs))
    middle, low, high = (exp(v) for v in (mean(logs), mean(logs) - half, mean(logs) + half))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def table(name: str, taken: dict[str, Taken]) -> list[str]:
    """The lines of one net."""
    ours, lines = taken[OURS].seconds, []
    for tool, t in taken.items():
        f, b = median(p.forwards for p in t.passes), median(p.backwards for p in t.passes)
        lines.append(
            f"| {name} | {tool} | {mean(t.broken):.1f} ({min(t.broken)}-{max(t.broken)}) "
            f"| {f / ROWS:.1f} | {b / ROWS:.1f} | {median(t.seconds):.2f} "
            f"| {'1' if tool == OURS else ratio(t.seconds, ours)} |"
        )
    return lines


def main() -> None:
    """Train, measure, write."""
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    nets = {
        "CNN": (convolutional, "plain"),
        "CNN, PGD-trained": (convolutional, "pgd"),
        "CNN, TRADES": (convolutional, "trades"),
        "MLP, PGD-trained": (flat, "pgd"),
    }
    lines = [
        f"Digits of 8 x 8 pixels, {ROWS} held-out rows in one call, radius {RADIUS} in the maximum"
        f" norm, {STEPS} steps of 2.5 radii / {STEPS}, random start, one thread on a CPU. Broken"
        f" rows: mean and range of {REPEATS} starts, each tool's inputs judged alike. Passes are"
        " per row; ours include the judge's where it is named. CPU seconds: median; CPU / holdfast:"
        f" geometric mean of {REPEATS} paired repeats with its 95 % interval. The loop by hand lets"
        " broken rows go and is written for one norm and one loss; it judges nothing,"
        " as the attack alone.",
        "",
        "| net | tool | broken rows | forwards | backwards | CPU s | CPU / holdfast |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (make, kind) in nets.items():
        model = trained(make, kind, x[ROWS:], y[ROWS:])
        lines += table(name, measured(model, x[:ROWS], y[:ROWS]))
    write("Attacks: PGD-40", "\n".join(lines))


if __name__ == "__main__":
    main()
