"""Does `--budget T` end at T, and how wrong are forecasts? Audits of random budgets, one by one.

    python benchmarks/budget.py [AUDITS] [SEED] [SHORTEST] [LONGEST] [REPEATS]

Each audit is a fork of one process that has imported everything, so that what is measured is the
audit and not the start of Python. Models and data vary; every audit begins without finished cells.
Written are end/T of each audit, and how far the time that was foretold after the first tenth of
an audit without a budget lay from the truth, first on a machine that knows nothing and then again:
in seconds, and in seconds of the processor, which do not depend on what others do meanwhile.
It rewrites its section of `docs/benchmarks.md`.
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

os.environ["OMP_NUM_THREADS"] = "1"  # a fork behind a process that has used threads would hang

SCENES = {
    "digits, a CNN": ("cnn", "digits"),
    "digits, a linear model": ("linear", "digits"),
    "digits, an MLP": ("mlp", "digits"),
    "synthetic, two blobs": ("table", "synthetic:blobs:1500"),
}
IMAGES = {"MNIST, a CNN": ("mnist", "mnist.npz"), "MNIST, a slower CNN": ("slow", "mnist.npz")}
LONGER = ["MNIST, a CNN", "MNIST, a slower CNN"]  # of which the profile standard is asked too
NETS = """
import torch
from torch import nn


def cnn():
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, 10))


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def table():
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 4))


def mnist():
    layers = nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(400, 10))


def slow():
    layers = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6272, 10))
"""


def images(folder: str) -> None:
    """The first thousand test images of MNIST as a file of rows."""
    import numpy as np

    from holdfast.readers import read_data

    rows = read_data(str(Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz"), limit=1000)
    np.savez("mnist.npz", x=rows.x.numpy(), y=rows.y.numpy())


def fitted(name: str, data: str) -> None:
    """Train one of the networks for a moment and write its weights."""
    import torch
    from torch import nn

    from holdfast.readers import read_data
    from holdfast.readers.entry import load_entry

    rows = read_data(data)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = load_entry(f"net.py:{name}")()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows.x), rows.y).backward()
            optimizer.step()
    torch.save(model.state_dict(), f"{name}.pt")


def words(scene: str, profile: str) -> list[str]:
    """The command line of an audit."""
    name, data = SCENES[scene]
    line = ["audit", f"{name}.pt", "--arch", f"net.py:{name}", "--data", data]
    return [*line, "--profile", profile, "--fresh", "--exit-zero"]


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
    from holdfast.run.load import busy

    class Listening(told):  # type: ignore[misc, valid-type]
        def _note(self, left: float) -> None:
            with file.open("a") as out:
                row = [time.monotonic() - begun, left, time.process_time(), busy()]
                out.write(json.dumps(row) + "\n")

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


def eta_error(file: Path) -> list[tuple[float, float]]:
    """What questions took, and the error of the end foretold last before a tenth was over.

    What counts is the time of the questions, from the plan to the last answer: in seconds, and in
    seconds of the processor (the forecast without what it adds for the load). The error is a share
    of it.
    """
    notes = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    found = []
    for clock, unit in ((0, lambda note: 1.0), (2, lambda note: note[3])):
        start, end = notes[0][clock], notes[-1][clock]
        whole = max(end - start, 1e-9)
        note = [n for n in notes if n[clock] <= start + 0.1 * whole][-1]
        found.append((whole, (note[1] / unit(note) - (end - note[clock])) / whole))
    return found


def foretold(asked: list[tuple[str, str]], folder: Path, repeats: int) -> list[str]:
    """A table of how wrong the end was foretold: a first run, then with what was learned."""
    head = ["scene", "profile", "run", "questions, s", "error", "processor, s", "error"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    told = folder / "told.txt"
    for scene, profile in asked:
        shutil.rmtree(folder / "cache", ignore_errors=True)  # a machine that knows nothing
        for number in range(repeats):
            told.unlink(missing_ok=True)
            forked(words(scene, profile), told)
            found = " | ".join(f"{took:.1f} | {error:+.0%}" for took, error in eta_error(told))
            lines.append(f"| {scene} | {profile} | {number + 1} | {found} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def ended(scenes: list[str], folder: Path, draw: random.Random, span: list[float]) -> list[str]:
    """A table of audits with random budgets: when they ended."""
    lines = ["| scene | profile | T, s | questions | end | code |", "|---" * 6 + "|"]
    told, audits, shares = folder / "told.txt", int(span[0]), []
    for _ in range(audits):
        scene, profile = draw.choice(scenes), draw.choice(["quick", "standard"])
        budget = round(draw.uniform(*span[1:]), 1)
        told.unlink(missing_ok=True)
        made = forked([*words(scene, profile)[:-1], "--budget", f"{budget}s"], told)
        shares.append(float(made["seconds"]) / budget)  # type: ignore[arg-type]
        notes = [json.loads(line)[0] / budget for line in told.read_text("utf-8").splitlines()]
        lines.append(
            f"| {scene} | {profile} | {budget:.1f} | {notes[0]:.2f} to {notes[-1]:.2f} T | "
            f"{shares[-1]:.3f} T | {made['code']} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    late = sum(share > 1.05 for share in shares)
    last = (
        f"{len(shares)} audits: median end {statistics.median(shares):.3f} T, largest "
        f"{max(shares):.3f} T, {late} later than 1.05 T. One that ends early had no more to ask."
    )
    return [*lines, "", last] if shares else []


def main(audits: int, seed: int, shortest: float, longest: float, repeats: int) -> None:
    """All audits, and what came of them."""
    from page import write

    from holdfast.cli import conduct, dry_run, prepare  # noqa: F401 - what every fork needs
    from holdfast.core import catalog
    from holdfast.report import render_html  # noqa: F401

    catalog.entries()
    folder, data = Path(tempfile.mkdtemp()), os.environ.get("HOLDFAST_DATA")
    data = str(Path(data).resolve()) if data else ""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.chdir(folder)
    Path("net.py").write_text(NETS, "utf-8")
    if data:
        images(data)
        SCENES.update(IMAGES)
    for name, rows in SCENES.values():
        fitted(name, rows)
    busy = os.getloadavg()[0]
    asked = [(scene, "quick") for scene in SCENES] + [(scene, "standard") for scene in LONGER]
    lines = foretold([pair for pair in asked if pair[0] in SCENES], folder, repeats)
    shares = ended([*SCENES], folder, random.Random(seed), [audits, shortest, longest])
    write(
        "Budget",
        f"Load of the machine (two cores): {busy:.1f} before, {os.getloadavg()[0]:.1f} after. "
        "Each audit is a fork of a process that has imported everything.\n\nThe end that was "
        "foretold when a tenth of the questions' time was over; the first run of a "
        "scene knows nothing of this machine. Errors as shares of the time of all questions; "
        "a tenth of the shortest is some hundredths of a second.\n\n"
        + "\n".join(lines) + "\n\nRandom budgets, counted from the command: when questions were "
        "asked, and when it had ended.\n\n" + "\n".join(shares),
    )  # fmt: skip
    shutil.rmtree(folder)


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    count, start, low, high, again = [*given, *(20, 0, 10.0, 60.0, 2)[len(given) :]]
    main(int(count), int(start), low, high, int(again))
