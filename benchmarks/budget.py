"""Does `--budget T` end at T, and how wrong are forecasts? Audits of random budgets, one by one.

    python benchmarks/budget.py [AUDITS] [SEED]

Each audit is a fork of one process that has imported everything, so that what is measured is the
audit and not the start of Python. Models and data vary; every audit begins without finished cells.
Written are end/T of each audit, and how far the time that was foretold after the first tenth of
an audit without a budget lay from the truth, first on a machine that knows nothing and then again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

SCENES = {
    "digits, a CNN": ("net.py:cnn", "digits"),
    "digits, a linear model": ("net.py:linear", "digits"),
    "synthetic, two blobs": ("net.py:table", "synthetic:blobs:1500"),
}
NETS = """
import torch
from torch import nn


def _fitted(model, spec, steps):
    from holdfast.readers import read_data
    rows = read_data(spec)
    torch.manual_seed(0)
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows.x), rows.y).backward()
        optimizer.step()
    return model.eval()


def cnn():
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()
    return _fitted(nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, 10)), "digits", 60)


def linear():
    return _fitted(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "digits", 60)


def table():
    from holdfast.readers import read_data
    rows = read_data("synthetic:blobs:1500")
    size, classes = rows.x.shape[1], int(rows.y.max()) + 1
    net = nn.Sequential(nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, classes))
    return _fitted(net, "synthetic:blobs:1500", 60)
"""


def words(scene: str, profile: str) -> list[str]:
    """The command line of an audit."""
    model, data = SCENES[scene]
    return ["audit", model, "--data", data, "--profile", profile, "--fresh", "--exit-zero"]


def forked(line: list[str], told: Path | None = None) -> dict[str, object]:
    """Run a command in a fork: seconds, code, and what became of its checks."""
    begun = time.monotonic()
    child = os.fork()
    if not child:
        from holdfast.cli import front, progress

        if told is not None:
            progress.Told = listening(progress.Told, told, begun)
            sys.modules["holdfast.cli.conduct"].Told = progress.Told
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = front.run(line)
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"seconds": time.monotonic() - begun, "code": code}


def listening(told: type, file: Path, begun: float) -> type:
    """A teller of progress that also writes down what was foretold, and when."""

    class Listening(told):  # type: ignore[misc, valid-type]
        def _note(self, left: float) -> None:
            with file.open("a") as out:
                out.write(json.dumps([time.monotonic() - begun, left]) + "\n")

        def planned(self, cells, seconds):  # type: ignore[no-untyped-def]
            super().planned(cells, seconds)
            self._note(seconds)

        def begins(self, cell, left):  # type: ignore[no-untyped-def]
            super().begins(cell, left)
            self._note(left)

        def ended(self):  # type: ignore[no-untyped-def]
            super().ended()
            self._note(0.0)

    return Listening


def eta_error(file: Path) -> float:
    """Error of the end that was foretold last before a tenth was over, as a share of all time.

    What counts is the time of the questions, from the plan to the last answer.
    """
    notes = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    start, end = notes[0][0], notes[-1][0]
    whole = end - start
    tenth = start + 0.1 * whole
    at, left = [note for note in notes if note[0] <= tenth][-1]
    return (left - (end - at)) / whole


def main(audits: int, seed: int) -> None:
    """All audits, and what came of them."""
    from holdfast.cli import conduct, dry_run, prepare  # noqa: F401 - what every fork needs
    from holdfast.core import catalog
    from holdfast.report import render_html  # noqa: F401

    catalog.entries()
    draw, folder = random.Random(seed), Path(tempfile.mkdtemp())
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.chdir(folder)
    Path("net.py").write_text(NETS, "utf-8")
    print("ETA after the first tenth, error as a share of the time of the questions")
    for scene in SCENES:
        errors = []
        for number in range(3):
            told = folder / f"{number}.txt"
            told.unlink(missing_ok=True)
            made = forked(words(scene, "quick"), told)
            errors.append(f"{eta_error(told):+.0%} of {made['seconds']:.0f} s")
        print(f"  {scene:<24} at first {errors[0]}, then {errors[1]} and {errors[2]}", flush=True)
    shares = []
    for _ in range(audits):
        scene, profile = draw.choice([*SCENES]), draw.choice(["quick", "standard"])
        budget = round(draw.uniform(4.0, 40.0), 1)
        made = forked([*words(scene, profile), "--budget", f"{budget}s"])
        shares.append(float(made["seconds"]) / budget)  # type: ignore[arg-type]
        print(f"  {scene:<24} {profile:<9} T {budget:>5.1f} s   end/T {shares[-1]:.3f}", flush=True)
    late = sum(share > 1.05 for share in shares)
    print(
        f"{len(shares)} audits: median end/T {statistics.median(shares):.3f}, "
        f"largest {max(shares):.3f}, {late} later than 1.05 T; "
        "one that ends early had no more to ask"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    )
