"""`holdfast audit --dry-run`: what would be asked and what it would cost; nothing is run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from holdfast.cli.progress import clock

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit


def foretold(audit: Audit) -> dict[str, Any]:
    """The plan as plain data: each check with its passes, seconds and what becomes of it.

    Cost: a few passes of one batch, which are timed.
    """
    from holdfast.run.cells import Cells
    from holdfast.run.pace import Pace
    from holdfast.run.plan import plan
    from holdfast.run.rates import Rates

    cells = plan(audit.suite.checks, audit.subject, audit.suite.weights)
    known = None if audit.fresh else Cells(audit.store.cells)
    workers = getattr(audit.executor, "workers", 1)
    pace = Pace(rates=Rates.of_machine(), workers=workers)
    pace.meet(audit.subject)
    rows: list[dict[str, Any]] = []
    left: list[float] = []  # seconds of those to run, asked for once: the load of a machine changes
    for cell in cells:
        found = known is not None and not cell.skipped and known.get(cell.key) is not None
        state = "not applicable" if cell.skipped else "finished" if found else "to run"
        left += [pace.one(cell)] if state == "to run" else []
        rows.append({
            "check": cell.name, "state": state, "passes": round(cell.cost),
            "seconds": left[-1] if state == "to run" else 0.0,
            "reason": cell.skipped.partition("\n")[0],
        })  # fmt: skip
    batches = audit.subject.batches
    return {
        "suite": audit.suite.name, "command": audit.command, "budget": audit.budget,
        "rows": 0 if batches is None else len(batches),
        "threats": [t.spec for t in audit.subject.threats],
        "seconds": pace.together(left), "checks": rows,
    }  # fmt: skip


def _time(seconds: float) -> str:
    """Seconds, with a tenth where they are few."""
    return f"{seconds:.1f} s" if seconds < 10 else clock(seconds)


def lines(told: dict[str, Any]) -> list[str]:
    """The plan for people."""
    width = max(len(row["check"]) for row in told["checks"]) - len("check:")
    threats = ", ".join(told["threats"]) or "no threat"
    shown = [f"{told['suite']}: {told['rows']:,} rows, {threats}"]
    for row in told["checks"]:
        name = row["check"].removeprefix("check:")
        cost = f"{row['passes']:>12,} passes   about {_time(row['seconds'])}"
        tail = {"to run": cost, "finished": "finished before"}.get(row["state"], row["reason"])
        shown.append(f"  {name:<{width}}  {tail}")
    total, budget = told["seconds"], told["budget"]
    fits = ""
    if budget is not None:
        fits = "it fits" if total <= budget else "what is too long comes last and ends with it"
        fits = f"   budget {_time(budget)}: {fits}"
    count = sum(row["state"] == "to run" for row in told["checks"])
    return [*shown, f"{count} checks to run, about {_time(total)}{fits}"]


def dry(audit: Audit) -> int:
    """Print the plan; nothing is asked and nothing is kept."""
    from holdfast.run.writing import canonical

    told = foretold(audit)
    sys.stdout.write(canonical(told) if audit.outputs.json else "\n".join([*lines(told), ""]))
    sys.stdout.flush()
    return 0
