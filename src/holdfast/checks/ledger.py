"""What attacks and their stages cost and won, and what self-checks saw, as figures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from holdfast.checks.signs import SelfCheck
from holdfast.core.kinds import Threat
from holdfast.core.records import Cell, Figure
from holdfast.run.search import Found
from holdfast.run.stages import Stage
from holdfast.run.watch import timed


def entered(stages: dict[str, Stage], name: str, won: Tensor, found: Found) -> None:
    """Enter one search into the ledger; one that kept none of its own is a single stage.

    Args:
        stages: so far, by name.
        name: of the attack.
        won: `(B,)` bool, rows that it broke.
        found: what it found.
    """
    spent = found.passes
    whole = Stage(name, len(won), int(won.sum()), 0, spent.forwards, spent.backwards)
    for stage in found.stages or (whole,):
        old = stages.get(stage.name)
        stages[stage.name] = old + stage if old else stage


def breakers(name: str, found: Found, won: Tensor) -> list[str]:
    """For each broken row the stage that broke it; the attack, where no stages are known."""
    rows = won.nonzero().flatten()
    if found.by is None or not found.stages:
        return [name] * len(rows)
    at = found.by[rows].tolist()
    return [found.stages[k].name if k >= 0 else name for k in at]


def ledger(stages: Sequence[Stage], threat: Threat, n: int) -> Figure:
    """One line per stage; without seconds, since findings are the same on every machine: those are
    told to whoever keeps times (`run/watch.py`)."""
    timed(f"ledger-{threat.spec}", stages)
    rows: list[dict[str, Cell]] = [
        {
            "stage": s.name, "rows": s.rows, "broken": s.broken, "set aside": s.aside,
            "forwards": s.forwards, "backwards": s.backwards,
        }
        for s in stages
        if s.forwards or s.backwards or s.broken or s.aside
    ]  # fmt: skip
    return Figure(
        name=f"ledger-{threat.spec}",
        kind="table",
        title=f"Where the passes went, {threat.spec}",
        says=_says(stages, n),
        rows=tuple(rows),
    )


def _says(stages: Sequence[Stage], n: int) -> str:
    """The stage that broke most rows, how many were set aside, what a row cost."""
    tried = [s for s in stages if s.name != "clean"]
    best = max(tried, key=lambda s: s.broken, default=None)
    passes = sum(s.forwards + s.backwards for s in stages)
    words = []
    if best is not None and best.broken:
        attack, _, part = best.name.removeprefix("attack:").partition(": ")
        name = f"{attack} ({part})" if part else attack
        words.append(f"most rows fell to {name}: {best.broken} of {best.rows}")
    else:
        words.append("No stage broke a row")
    aside = sum(s.aside for s in tried)
    words.append(f"{aside} {'were' if aside != 1 else 'was'} set aside as hopeless"
                 if aside else "none was set aside")  # fmt: skip
    words.append(f"{passes / n:,.0f} passes per row" if n else "no passes")
    first, *rest = words
    return f"{first[:1].upper()}{first[1:]}; {'; '.join(rest)}."


def line(
    name: str, won: Tensor, sizes: Tensor, found: Found, threat: Threat, asked: int
) -> dict[str, Cell]:
    """One attack in the table; the radius is the median over rows that were right before.

    Args:
        name: of the attack.
        won: `(B,)` bool, rows that it broke, of those that it was tried on.
        sizes: of the smallest winning changes seen, in radii.
        found: what it found.
        threat: of the audit.
        asked: forwards that the sizes took.
    """
    radius = getattr(threat, "radius", None)
    known = radius is not None and bool(len(sizes))
    return {
        "method": name,
        "tried on": len(won),
        "broken": int(won.sum()),
        "success (share)": float(won.float().mean()) if len(won) else None,
        "median radius": float(sizes.median()) * float(radius or 0) if known else None,
        "forwards": found.passes.forwards + asked,
        "backwards": found.passes.backwards,
    }


def attacks(
    lines: Sequence[dict[str, Cell]], standing: Tensor, size: Tensor, threat: Threat, says: str
) -> Figure:
    """One line per attack, and one for all together where there are several.

    Args:
        lines: of the attacks, with their passes.
        standing: `(B,)` bool, rows that none of them broke.
        size: `(B,)` size of the smallest winning change seen, in radii.
        threat: of the audit.
        says: the caption.
    """
    n, known = len(standing), size[size > 0]
    radius = getattr(threat, "radius", None)
    broken = n - int(standing.sum())
    total: dict[str, Cell] = {
        "method": "all together (pointwise worst)",
        "tried on": n,
        "broken": broken,
        "success (share)": broken / n if n else None,
        "median radius": float(known.median()) * float(radius) if radius and len(known) else None,
        "forwards": sum(int(one["forwards"] or 0) for one in lines),
        "backwards": sum(int(one["backwards"] or 0) for one in lines),
    }
    return Figure(
        name=f"attacks-{threat.spec}",
        kind="table",
        title=f"Attacks, {threat.spec}",
        says=says,
        rows=(*lines, total) if len(lines) > 1 else tuple(lines),
    )


def panel(doubts: list[SelfCheck], threat: Threat, failed: int) -> Figure:
    """What each self-check saw."""
    return Figure(
        name=f"self-checks-{threat.spec}",
        kind="table",
        title=f"Self-checks, {threat.spec}",
        says="No self-check found a sign of masked gradients."
        if not failed
        else f"{failed} of {len(doubts)} self-checks failed: the truth may be lower.",
        rows=tuple(
            {
                "check": d.name,
                "result": "pass" if d.passed else "FAIL",
                "says": d.says,
                "repaired by": "" if d.passed else d.fix,
            }
            for d in doubts
        ),
    )
