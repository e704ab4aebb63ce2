"""The honesty gallery: cosmetic defences, what attacks report of them, and what is true.

Run `python benchmarks/honesty.py [rows]`; it prints its section of `docs/benchmarks.md` and
rewrites it. Nets and rows are fresh: no seed here was used while the checks were written.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch
from page import write
from torch import Tensor, nn

from holdfast.checks.self_checks import self_checks
from holdfast.checks.worst_case import WorstCase
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.records import Reading, Subject
from holdfast.run.passes import Tap
from holdfast.testing.worlds.masked import Masked, digits, flat, gallery, trained
from holdfast.threats.norms import LInf

RADIUS, ROWS = 0.1, 64
NETS = ((711, 0.1), (712, 0.0))  # seed, radius trained against


def theirs(case: Masked) -> float | None:
    """Accuracy under the PGD-40 of torchattacks; None where it stops with an error."""
    from torchattacks import PGD

    torch.manual_seed(0)
    try:
        attack = PGD(case.model, eps=RADIUS, alpha=2.5 * RADIUS / 40, steps=40)
        moved = attack(case.x, case.y)
        with torch.no_grad():
            return float((case.model(moved).argmax(1) == case.y).double().mean())
    except RuntimeError:
        return None


def ours(model: object, x: Tensor, y: Tensor) -> Reading:
    """What the audit reports, with its flags."""
    data = Batches(x=x, y=y, index=torch.arange(len(x)))
    subject = Subject(model=model, batches=data, threats=(LInf(radius=RADIUS),))  # type: ignore[arg-type]
    return next(iter(WorstCase()(subject))).readings[0]


def probed(model: object, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Forwards and backwards per row of the self-checks."""
    tap = Tap(model)  # type: ignore[arg-type]
    self_checks(tap, x, y, LInf(radius=RADIUS), Dice.of(len(x)))
    return tap.passes.per(len(x))


def lines_of(base: nn.Module, x: Tensor, y: Tensor, label: str) -> list[str]:
    """One line per defence, and one for the net without any."""
    bare = Masked("none", base, x, y, base, base)
    lines = []
    for case in [bare, *gallery(base, x, y)]:
        start = time.process_time()
        reading = ours(case.model, case.x, case.y)
        seconds = time.process_time() - start
        truth = float(case.truth(RADIUS).double().mean())
        told, (forwards, _) = theirs(replace(case)), probed(case.model, case.x, case.y)
        names = ", ".join(flag.partition(":")[0] for flag in reading.flags) or "-"
        lines.append(
            f"| {label} | {case.name} | {'error' if told is None else f'{told:.1%}'} "
            f"| {reading.value:.1%} | {truth:.1%} | {names} | {forwards:.0f} | {seconds:.0f} |"
        )
        sys.stderr.write(lines[-1] + "\n")
    return lines


def main() -> None:
    """Train, wrap, attack, write."""
    torch.set_num_threads(1)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    lines = [
        f"A net of two hidden layers for digits of 8 x 8 pixels behind fifteen cosmetic defences,"
        f" {rows} held-out rows, radius {RADIUS} in the maximum norm. The truth is measured with"
        " long attacks that know the wrapper (`holdfast.testing.worlds.masked`): of the mean"
        " answer for random models, in evaluation mode where training mode was left on. Ours is"
        " what the audit's worst-case check reports, with the signs it was flagged for; probe:"
        " forwards per row that the self-checks took.",
        "",
        "| net | defence | torchattacks PGD-40 | ours | truth | signs | probe | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for seed, radius in NETS:
        x, y = digits(seed)
        base = trained(flat, x[:1200], y[:1200], radius=radius, epochs=12, seed=seed)
        label = "PGD-trained" if radius else "plain"
        lines += lines_of(base, x[1200 : 1200 + rows], y[1200 : 1200 + rows], label)
    write("Honesty: cosmetic defences", "\n".join(lines))


if __name__ == "__main__":
    main()
