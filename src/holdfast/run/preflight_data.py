"""The preflight's questions about the rows: range, units, duplicates."""

from __future__ import annotations

import hashlib
from collections import Counter

from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.records import Figure, Finding, Severity, Subject
from holdfast.ops.batch import Inputs

MOST_BYTES = 256 << 20  # of rows that are compared for duplicates
SHARE_IMAGES, SHARE_TABLE = 0.01, 0.1  # duplicate rows from which a warning is due


def data_findings(subject: Subject) -> list[Finding]:
    """All findings that need no pass through the model."""
    batches = subject.batches
    if batches is None:
        return []
    low, high = (subject.threats[0].low, subject.threats[0].high) if subject.threats else (0.0, 1.0)
    found = range_findings(batches.x, low, high) if isinstance(batches.x, Tensor) else []
    found += unit_findings(subject)
    if clipped := subject.about.get("clipped"):
        found.append(
            Finding(
                severity=Severity.INFO,
                says=f"{clipped} rows lay outside the ranges of the reference and were clipped.",
            )
        )
    return found + duplicate_findings(batches, subject.trusted)


def unit_findings(subject: Subject) -> list[Finding]:
    """What the radii of the threats mean in the units of a scaled table, column by column."""
    radii: dict[str, float] = {}
    for threat in subject.threats:
        ball = getattr(threat, "threat", threat)  # one change for all rows is a change of each
        if isinstance(radius := getattr(ball, "radius", None), int | float):
            radii[threat.spec] = float(radius)
    units = subject.about.get("units", ())
    if not units or not radii:
        return []
    rows = []
    for unit in units:
        width = float(unit["high"] - unit["low"])
        row = {"column": unit["column"], "low": unit["low"], "high": unit["high"]}
        rows.append(row | {f"+/- at {name}": radius * width for name, radius in radii.items()})
    name, column = next(iter(radii)), rows[0]
    says = (
        f"Columns are scaled to [0, 1] by their ranges; {name} moves "
        f"{column['column']} by up to {column[f'+/- at {name}']:.3g} in its own unit."
    )
    figure = Figure(
        name="units", kind="table", title="Radii in the units of the columns", says=says,
        rows=tuple(rows),
    )  # fmt: skip
    return [Finding(severity=Severity.INFO, says=says, figures=(figure,))]


def range_findings(x: Tensor, low: float = 0.0, high: float = 1.0) -> list[Finding]:
    """Whether the rows lie where the threats assume them, and what went wrong if not."""
    if not x.numel():
        return []
    if not x.is_floating_point():
        return [
            Finding(
                severity=Severity.FAILURE,
                says=f"The inputs have type {x.dtype}; a change of 1/255 cannot be added to them.",
                advice="Convert them: x.float() / 255.",
            )
        ]
    if not bool(x.isfinite().all()):
        return [
            Finding(
                severity=Severity.FAILURE,
                says="The inputs hold NaN or infinity.",
                advice="Fill gaps, or remove these rows.",
            )
        ]
    least, most = float(x.min()), float(x.max())
    slack = 1e-4 * (high - low)
    if least >= low - slack and most <= high + slack:
        if x.dim() > 2 and most - least < 0.02 * (high - low):
            return [
                Finding(
                    severity=Severity.WARNING,
                    says=f"All inputs lie in [{least:.3g}, {most:.3g}]: divided by 255 twice?",
                    advice="Bring the inputs to [0, 1].",
                )
            ]
        return []
    return [_outside(x, least, most, low, high)]


def _outside(x: Tensor, least: float, most: float, low: float, high: float) -> Finding:
    where = f"The inputs lie in [{least:.3g}, {most:.3g}], the threats assume [{low:g}, {high:g}]"
    if least >= 0 and most <= 255 and bool((x == x.round()).all()):
        return Finding(
            severity=Severity.FAILURE,
            says=f"{where}: these are bytes, and a radius would be 255 times too small.",
            advice="Divide the data by 255 (and let the model multiply if it wants bytes).",
        )
    if least < 0 < most and 0.3 < float(x.double().std()) < 3:
        factor = (most - least) / (high - low)
        return Finding(
            severity=Severity.FAILURE,
            says=f"{where}: normalisation happens outside the model, and a radius would be about "
            f"{factor:.1f} times too small.",
            advice="Give the data in [0, 1] and say --mean and --std, so that it happens inside.",
        )
    return Finding(
        severity=Severity.FAILURE,
        says=f"{where}: attacks would clip unchanged inputs.",
        advice="Bring the data to [0, 1] and let the model undo it.",
    )


def _hashes(x: Inputs, count: int) -> list[bytes]:
    """One hash per row, of at most the first `count`."""
    if isinstance(x, Tensor):
        flat = x[:count].detach().cpu().contiguous().flatten(1).numpy()
        raw = [row.tobytes() for row in flat]
    elif isinstance(x, dict):
        parts = [_hashes(x[name], count) for name in sorted(x)]
        raw = [b"".join(row) for row in zip(*parts, strict=True)]
    else:
        raw = [str(text).encode() for text in list(x)[:count]]
    return [hashlib.blake2b(row, digest_size=16).digest() for row in raw]


def duplicate_findings(batches: Batches, trusted: Batches | None) -> list[Finding]:
    """Rows that are there twice, and rows that the reference holds too."""
    x = batches.x
    per_row = x[0].numel() * x.element_size() if isinstance(x, Tensor) and len(x) else 1024
    count = max(MOST_BYTES // max(per_row, 1), 1)
    own = _hashes(x, count)
    if not own:
        return []
    limit = SHARE_TABLE if isinstance(x, Tensor) and x.dim() == 2 else SHARE_IMAGES
    seen = Counter(own)
    position: dict[bytes, int] = {}
    copies, clashes = [], 0
    for row, key in enumerate(own):
        first = position.setdefault(key, row)
        if first != row:
            copies.append(row)
            clashes += int(batches.y[first] != batches.y[row])
    found = []
    if copies:
        extra = f", {clashes} of them under another label" if clashes else ""
        says = f"{len(copies)} of {len(own)} rows repeat earlier rows{extra}."
        found.append(_duplicates(says, len(copies) / len(own) >= limit or clashes > 0, copies))
    if trusted is not None:
        known = set(_hashes(trusted.x, count))
        shared = [row for row, key in enumerate(own) if key in known]
        if shared:
            says = f"{len(shared)} of {len(own)} measured rows are in the reference too."
            much = sum(seen[k] for k in known & set(own)) / len(own) >= limit
            found.append(_duplicates(says, much, shared))
    return found


def _duplicates(says: str, much: bool, rows: list[int]) -> Finding:
    return Finding(
        severity=Severity.WARNING if much else Severity.INFO,
        says=says,
        advice="Remove the copies: they make intervals too narrow and hide overfitting.",
        rows=tuple(rows[:20]),
    )
