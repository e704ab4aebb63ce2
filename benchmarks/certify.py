"""Linear bounds and their optimisation: seconds, tightness, memory.

Run `python benchmarks/certify.py`; it prints its section of `docs/benchmarks.md` and rewrites it.
`HOLDFAST_ORACLE` names a folder with frozen bounds of another engine (`linear_bounds_*.pt`);
without it only the first verdict is timed. All times are CPU seconds of one thread.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import torch
from page import write
from torch import Tensor, nn

from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.region import region
from holdfast.certify.linear.tighten import tightened
from holdfast.certify.reading.reader import read
from holdfast.threats.norms import LInf

ROWS = {"mlp": 20, "cnn": 10, "res": 4}  # with frozen bounds
BATCH = {"mlp": 100, "cnn": 50, "res": 10}  # rows at once in which the other engine was timed
NUDGE = 0.01  # what tells the copies of a row apart in a batch
RADII = {"mlp": (0.02, 0.08), "cnn": (0.02, 0.08), "res": (0.5 / 255, 2 / 255)}
REPEATS = 3  # after the first call, in which kernels are chosen for each shape; the least counts
ALPHA = (AlphaCROWN().steps, AlphaCROWN().last)  # moves of neurons, of the margin


class Residual(nn.Module):
    """Two residual blocks with batch norm, the second of half the size."""

    b0: nn.Module
    b1: nn.Module
    b2: nn.Module
    b3: nn.Module
    b4: nn.Module

    def __init__(self, w: int = 8) -> None:
        super().__init__()
        self.c0, self.c1 = nn.Conv2d(3, w, 3, 2, 1), nn.Conv2d(w, w, 3, 1, 1)
        self.c2, self.c3 = nn.Conv2d(w, w, 3, 1, 1), nn.Conv2d(w, 2 * w, 3, 2, 1)
        self.c4, self.sc = nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.Conv2d(w, 2 * w, 1, 2)
        for i, k in enumerate((w, w, w, 2 * w, 2 * w)):
            setattr(self, f"b{i}", nn.BatchNorm2d(k))
        self.l1, self.l2 = nn.Linear(2 * w * 64, 100), nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b0(self.c0(x)).relu()
        x = (x + self.b2(self.c2(self.b1(self.c1(x)).relu()))).relu()
        y = self.b4(self.c4(self.b3(self.c3(x)).relu()))
        found: Tensor = self.l2(self.l1((self.sc(x) + y).relu().flatten(1)).relu())
        return found


def nets(name: str) -> nn.Module:
    """The networks of the frozen bounds."""
    if name == "res":
        return Residual()
    if name == "mlp":
        sizes = pairwise((784, 256, 256, 256, 10))
        parts = [part for n, m in sizes for part in (nn.Linear(n, m), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *parts[:-1])
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


@torch.no_grad()
def tightness(folder: Path) -> list[str]:
    """CROWN and optimised bounds beside the frozen ones."""
    lines = [
        "| net | radius | method | ms per input | in the first call | in a batch of "
        f"{' / '.join(str(n) for n in BATCH.values())} | mean least margin | frozen "
        "| largest shortfall |",
        "|---" * 9 + "|",
    ]
    for name, rows in ROWS.items():
        frozen = torch.load(folder / f"linear_bounds_{name}.pt", weights_only=True)
        model = nets(name)
        model.load_state_dict(frozen["state_dict"])
        model.double().eval()
        x, spec = frozen["x"][:rows].double(), frozen["spec"][:rows].double()
        for radius in RADII[name]:
            threat = LInf(radius=radius, low=-10.0, high=10.0)
            for method in ("CROWN", "CROWN-Optimized") if name != "res" else ("CROWN",):
                theirs = frozen["lower_bounds"][f"{method}@{radius:.6f}"][:rows].double()
                steps = (0, 0) if method == "CROWN" else ALPHA
                spent, found = timed(model, x, spec, threat, steps)
                many = "-"
                if method == "CROWN":
                    wide, _ = timed(model, *copies(x, spec, BATCH[name]), threat, steps)
                    many = f"{min(wide[1:]):.1f}"
                ours, other = (float(v.amin(1).mean()) for v in (found, theirs))
                short = float((theirs - found).max())
                lines.append(
                    f"| {name} | {radius:.4g} | {method} | {min(spent[1:]):.1f} | {spent[0]:.1f} "
                    f"| {many} | {ours:.3f} | {other:.3f} | {short:.1e} |"
                )
    return lines


def copies(x: Tensor, spec: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As many rows as in the other engine's timing: the frozen ones again and again, nudged."""
    pick = torch.arange(count) % len(x)
    return x[pick] + NUDGE * torch.rand(count, *x.shape[1:], dtype=x.dtype), spec[pick]


def timed(
    model: nn.Module, x: Tensor, spec: Tensor, threat: LInf, steps: tuple[int, int]
) -> tuple[list[float], Tensor]:
    """Milliseconds per input of each call, and the bounds."""
    spent = []
    for _ in range(1 + REPEATS):
        start = time.process_time()
        found = bounded(model, x, spec, threat, steps)
        spent.append(1e3 * (time.process_time() - start) / len(x))
    return spent, found


def bounded(
    model: nn.Module, x: Tensor, spec: Tensor, threat: LInf, steps: tuple[int, int]
) -> Tensor:
    """Lower bounds `(B, W)` of the specifications."""
    graph = read(model, x)
    bounds = propagate(graph, region(threat, x), "crown")
    if steps[1]:
        return ascend(tightened(bounds, steps[0]), graph.output, spec, steps[1])
    return -margins(bounds, -spec, torch.zeros(spec.shape[:2]).double(), relax=True)


FIRST = """
import resource, torch
torch.set_num_threads(1)
from holdfast.certify.linear.crown import CROWN
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf
world = TinyReLU.make()
CROWN()(world.model, world.x, world.goal, LInf(radius=0.02))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def first() -> str:
    """CPU seconds and memory from the start of Python to a first verdict."""
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    return f"First verdict of a small net, imports included: {seconds:.1f} s, {memory:.0f} MB."


def main() -> None:
    """Measure what is there and write the section."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = [first(), ""]
    if folder := os.environ.get("HOLDFAST_ORACLE"):
        lines += [*tightness(Path(folder)), ""]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write("Certify: linear bounds", "\n".join([*lines, f"Peak memory of this run: {peak:.0f} MB."]))


if __name__ == "__main__":
    main()
