"""`--budget`: what of it is left for the questions, and what is said when it is spent."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.records import Finding, Report, Subject
    from holdfast.run.rates import Rates
    from holdfast.run.store import Store

WRITING = "writing"  # what judging, writing and showing took, among the rates of this machine
_FIRST, _MOST = 2.0, 1 / 3  # seconds where nobody knows, and the largest share of a budget
_SAFE = 1.25
_LOOK = 0.5  # share of the time before the report that the preflight may take
_ENOUGH = 20.0  # seconds that are suggested at least


def deadline(begun: float, budget: float | None, rates: Rates) -> float | None:
    """When the questions must end, so that verdict and report are there in time.

    Args:
        begun: when the command began, as `time.monotonic` tells it.
        budget: seconds of the whole command; None without a limit.
        rates: what writing took before, and how busy the machine is.
    """
    if budget is None:
        return None
    return begun + budget - min(_SAFE * rates.most(WRITING, _FIRST), _MOST * budget)


def looked_until(
    end: float | None, asked: Subject, store: Store, fresh: bool
) -> tuple[Finding, ...]:
    """The preflight, in half of the time at most: the rest is for questions."""
    from holdfast.cli.prepare import looked
    from holdfast.core.records import Finding, Severity
    from holdfast.run.clock import Alarm, Late

    now = time.monotonic()
    alarm = Alarm(None if end is None else now + _LOOK * (end - now))
    try:
        with alarm:
            return looked(asked, store, fresh)
    except Late:
        says = "The time budget ended before the preflight did: nothing was looked at."
        advice = "Use a larger --budget."
        return (Finding(severity=Severity.WARNING, says=says, advice=advice),)
    finally:
        alarm.off()


def spent(report: Report, budget: float | None, before: float = 0.0, after: float = 0.0) -> None:
    """Say so where the budget has left something out, or everything.

    Args:
        report: what was answered.
        budget: seconds of the whole command; None without a limit.
        before: seconds that had passed when the first question could be asked.
        after: seconds that were kept for verdict and report.
    """
    from holdfast.run.verdict import CUT

    cut = sum(o.skipped.startswith(CUT) for o in report.outcomes)
    if budget is None or not cut:
        return
    lines = [
        f"  the budget of {budget:g} s is spent: {cut} of {len(report.outcomes)} checks are not "
        "tested; what they would take: the same command with --dry-run"
    ]
    if not report.readings:
        least = max(10 * math.ceil((before + after) / 5), _ENOUGH)  # about twice
        lines += [
            f"E0740  --budget {budget:g}s is too small for any verdict: to start, read and look "
            f"took {before:.1f} s, the report needs {after:.1f} s, and no question was answered",
            f"       Repeat the command with --budget {least:g}s or more.",
        ]
    print("\n".join(lines), file=sys.stderr, flush=True)


def noted(rates: Rates, since: float) -> None:
    """Remember what this run has taught about the machine."""
    rates.learn(WRITING, 1.0, time.monotonic() - since)
    rates.save()
