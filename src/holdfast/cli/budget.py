"""`--budget`: what of it is left for the questions, and what is said when it is spent."""

from __future__ import annotations

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


def deadline(begun: float, budget: float | None, rates: Rates) -> float | None:
    """When the questions must end, so that verdict and report are there in time.

    Args:
        begun: when the command began, as `time.monotonic` tells it.
        budget: seconds of the whole command; None without a limit.
        rates: what writing took before.
    """
    if budget is None:
        return None
    return begun + budget - min(_SAFE * rates.most(WRITING, _FIRST), _MOST * budget)


def looked_until(
    end: float | None, asked: Subject, store: Store, fresh: bool
) -> tuple[Finding, ...]:
    """The preflight, as far as the time allows."""
    from holdfast.cli.prepare import looked
    from holdfast.core.records import Finding, Severity
    from holdfast.run.clock import Alarm, Late

    alarm = Alarm(end)
    try:
        with alarm:
            return looked(asked, store, fresh)
    except Late:
        says = "The time budget ended before the preflight did: nothing was looked at."
        advice = "Use a larger --budget."
        return (Finding(severity=Severity.WARNING, says=says, advice=advice),)
    finally:
        alarm.off()


def spent(report: Report, budget: float | None) -> None:
    """Say so where the budget has left something out."""
    from holdfast.run.verdict import CUT

    cut = sum(o.skipped.startswith(CUT) for o in report.outcomes)
    if budget is not None and cut:
        print(
            f"  the budget of {budget:g} s is spent: {cut} of {len(report.outcomes)} checks are "
            "not tested; what they would take: the same command with --dry-run",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def noted(rates: Rates, since: float) -> None:
    """Remember what this run has taught about the machine."""
    rates.learn(WRITING, 1.0, time.monotonic() - since)
    rates.save()
