"""What Holdfast weighs and how long its everyday commands take.

Packages and megabytes beyond torch, as the lower bounds of `pyproject.toml` with the pins of this
environment install them; `holdfast --help`; a standard audit of a small CNN on 1,000 images of
MNIST (`HOLDFAST_DATA` names the folder that holds `mnist/`), and the same command again. The
processor's seconds count: they do not depend on what else the machine has to do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import Distribution, distribution
from pathlib import Path

import numpy as np
import torch
from packaging.requirements import Requirement
from page import write
from torch import nn

from holdfast.readers import read_data

GOALS = {"packages": 35, "megabytes": 400, "help": 0.25, "repeat": 2.0, "audit": 300.0}
SOURCE = Path(__file__).resolve().parents[1] / "src"
IMAGES, TRAINED, STEPS = 1_000, 4_000, 300
HELPS = int(os.environ.get("HOLDFAST_RUNS", "9"))
NET = """from torch import nn


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )
"""
Row = tuple[str, str, str]


def needed(name: str) -> set[str]:
    """A package and all that it needs here, without its extras."""
    found, left = set(), [name]
    while left:
        one = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if one in found:
            continue
        found.add(one)
        for line in distribution(one).requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                left.append(wanted.name)
    return found


def megabytes(package: Distribution) -> float:
    """What the files of a package take on the disk, without compiled copies of its sources."""
    files = [Path(str(f.locate())) for f in package.files or () if "__pycache__" not in str(f)]
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6


def weighed() -> tuple[list[str], float]:
    """Packages beyond torch and what it needs, and their size; Holdfast's own is its sources'."""
    beyond = sorted(needed("holdfast") - needed("torch"))
    own = sum(f.stat().st_size for f in SOURCE.rglob("*") if f.suffix not in (".pyc", "")) / 1e6
    return beyond, own + sum(megabytes(distribution(n)) for n in beyond if n != "holdfast")


def spent(words: list[str], folder: Path) -> tuple[float, float]:
    """One fresh process of `python -m holdfast`: wall clock and processor."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "holdfast", *words], cwd=folder, check=True,
        stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    wall, after = time.perf_counter() - begun, os.times()
    user, system = (after[k] - before[k] for k in (2, 3))
    return wall, user + system


def lay(folder: Path) -> list[str]:
    """Train the network, write it and 1,000 images it has not seen; the words of the audit."""
    data = Path(os.environ.get("HOLDFAST_DATA", "../shared/data")) / "mnist"
    train = read_data(data / "train-images-idx3-ubyte.gz", limit=TRAINED)
    test = read_data(data / "t10k-images-idx3-ubyte.gz", limit=IMAGES)
    (folder / "net.py").write_text(NET)
    held: dict[str, object] = {}
    exec(NET, held)
    torch.manual_seed(0)
    model: nn.Module = held["network"]()  # type: ignore[operator]
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for step in range(STEPS):
        rows = torch.arange(64 * step, 64 * (step + 1)) % TRAINED
        loss = nn.functional.cross_entropy(model(train.x[rows]), train.y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(model.state_dict(), folder / "net.pt")
    for name, rows in (("rows", test), ("reference", train)):
        np.savez(folder / f"{name}.npz", x=rows.x.numpy(), y=rows.y.numpy())
    asked = "audit net.pt --arch net.py:network --data rows.npz --reference reference.npz"
    return [*asked.split(), "--threat", "linf:0.1", "--profile", "standard", "--exit-zero"]


def table(rows: list[Row]) -> str:
    """What was asked, what was found, the goal."""
    return "\n".join(["| what | found | goal |", "|---|---|---|",
                      *(f"| {a} | {b} | {c} |" for a, b, c in rows)])  # fmt: skip


def main() -> None:
    """Measure, write the section."""
    beyond, size = weighed()
    rows: list[Row] = [
        ("packages beyond torch", str(len(beyond)), f"<= {GOALS['packages']}"),
        ("megabytes beyond torch", f"{size:.0f}", f"<= {GOALS['megabytes']}"),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent(["--help"], folder)  # warms the file cache
        helps = sorted(spent(["--help"], folder)[1] for _ in range(HELPS))
        rows.append(("`holdfast --help`, CPU s", f"{helps[HELPS // 2]:.2f}", f"<= {GOALS['help']}"))
        words = lay(folder)
        first, again = spent(words, folder), spent(words, folder)
        (page,) = folder.glob(".holdfast/runs/*/report.html")
        told = f"standard audit, small CNN, {IMAGES:,} images of MNIST"
        rows += [
            (f"{told}, CPU s", f"{first[1]:.0f}", f"<= {GOALS['audit']:.0f}"),
            ("the same command again, CPU s", f"{again[1]:.1f}", f"<= {GOALS['repeat']}"),
            ("its report, MB", f"{page.stat().st_size / 1e6:.2f}", "<= 1.5"),
        ]
    says = (
        f"Python {sys.version.split()[0]}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread(s). The core without extras; sizes on the disk without "
        f"compiled copies. CPU seconds of fresh processes, their imports included; `--help`: "
        f"median of {HELPS}. That a repeat makes no pass through the model is a test."
    )
    write("Weight and speed", f"{says}\n\n{table(rows)}\n\nPackages: {', '.join(beyond)}.")


if __name__ == "__main__":
    main()
