"""One audit from subject to report: run, judge, write, show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.cli.budget import deadline, noted, spent
from holdfast.cli.facts import facts, now, standings
from holdfast.cli.handed import present, write
from holdfast.cli.live import alive
from holdfast.cli.progress import Told
from holdfast.cli.stop import Stop

if TYPE_CHECKING:
    from holdfast.cli.unchanged import Seal
    from holdfast.core.records import Finding, Report, Subject
    from holdfast.run.accepted import Acceptance
    from holdfast.run.executors import Executor
    from holdfast.run.gates import Gate
    from holdfast.run.rates import Rates
    from holdfast.run.store import Store
    from holdfast.run.suite import Suite


@dataclass
class Outputs:
    """What to write and show besides the run's own folder."""

    json: bool = False
    open: bool = False
    markdown: str | None = None
    junit: str | None = None
    sarif: str | None = None
    exit_zero: bool = False
    github: bool = False


@dataclass
class Audit:
    """Everything one audit is made of.

    Args:
        subject: what is asked about.
        suite: the questions.
        store: where finished cells and the report are kept.
        stem: what the model is called.
        command: the command line that repeats it.
        gates: the limits and where they come from.
        accepted: risks that somebody answers for.
        seal: of everything that was read, so that the same command need not ask again.
        budget: seconds since `begun`, None without a limit.
        preflight: findings about the question itself.
        options: what was asked for, so that the next audit of this model can repeat it.
        against: name of an earlier run to compare with, empty for none.
        harden: for each threat, the command that would train the model against it.
        begun: when the command began, as `time.monotonic` tells it; now unless given.
        fresh: never look finished cells up, never reuse a run's folder.
        executor: where cells run; in this process unless given.
        outputs: what to write and show.
    """

    subject: Subject
    suite: Suite
    store: Store
    stem: str
    command: str
    gates: tuple[tuple[Gate, ...], str]
    budget: float | None = None
    preflight: tuple[Finding, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    against: str = ""
    harden: Mapping[str, str] = field(default_factory=dict)
    begun: float | None = None
    fresh: bool = False
    executor: Executor | None = None
    outputs: Outputs = field(default_factory=Outputs)
    accepted: tuple[Acceptance, ...] = ()
    seal: Seal | None = None


def _values(results: Mapping[str, Any]) -> dict[str, float]:
    readings = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    return {r["name"]: r["value"] for r in readings if r["value"] is not None}


def conduct(audit: Audit) -> int:
    """Run an audit, write its report and show the verdict.

    Returns:
        The exit code of the verdict.
    """
    with Stop() as stop, ExitStack() as ends:
        return _conducted(audit, stop, ends)


def _conducted(audit: Audit, stop: Stop, ends: ExitStack) -> int:
    from holdfast.cli.earlier import changed, earlier, sides
    from holdfast.cli.history import lineage
    from holdfast.run.document import document
    from holdfast.run.rates import Rates
    from holdfast.run.suite import identity
    from holdfast.run.verdict import INTERRUPTED, verdict

    begun, started, store = audit.begun or time.monotonic(), now(), audit.store
    rates, before = Rates.of_machine(), earlier(store, audit.against)
    baseline = None if before is None else before[0]
    whole = identity(audit.suite, audit.subject)
    run = store.name_run(audit.stem, whole, started[:10], fresh=audit.fresh)
    store.ledger.open_run(run, whole, audit.stem, audit.suite.name, started, audit.options)
    told = Told(stop=stop, foresee=partial(_foreseen, audit))
    live = ends.enter_context(alive(store.folder(run), told, audit.command))
    ready, end = time.monotonic(), deadline(begun, audit.budget, rates)
    report = _asked(audit, run, told, rates, end)
    asked = time.monotonic()
    live.writing()
    spent(report, audit.budget, ready - begun, begun + (audit.budget or 0.0) - (end or begun))
    gates, origin = audit.gates
    pairs = changed(store, run, report.outcomes, before)
    judged = verdict(
        report.readings, gates, report.outcomes, None if baseline is None else _values(baseline),
        accepted=audit.accepted, paired=pairs, day=date.fromisoformat(started[:10]),
    )  # fmt: skip
    results = document(
        report, audit.subject, audit.suite.checks, judged, gates_from=origin,
        preflight=audit.preflight, claims=standings(), command=audit.command, harden=audit.harden,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    about = facts(audit, report, started, seconds)
    about |= {"day": started[:10]}  # on which the verdict was given: acceptances end
    about |= lineage(store, run, audit.stem, audit.suite.name, results) | sides(pairs)
    about |= {"ledgers": told.times} if told.times else {}
    about |= {"command": results["command"], "actions": results["actions"]}
    place = write(audit, run, results, about, baseline)
    stopped = judged.code == INTERRUPTED
    state = "partial" if stopped else "finished"
    store.ledger.close_run(run, now(), state, judged.word, judged.code)
    if audit.seal is not None and not stopped:
        audit.seal.keep(store, run, report.outcomes)
    present(audit.outputs, results, seconds, place)
    noted(rates, asked)
    return 0 if audit.outputs.exit_zero and not stopped else judged.code


def _foreseen(audit: Audit) -> Any:
    """What is printed of the plan once it is known."""
    from holdfast.cli.prepare import foreseen

    return foreseen(audit.subject, audit.suite)


def _asked(audit: Audit, run: str, told: Told, rates: Rates, end: float | None) -> Report:
    """The report of all checks, with progress on the screen."""
    from holdfast.run.suite import audit as ask

    with told:
        return ask(
            audit.suite, audit.subject, store=audit.store, progress=told, rates=rates,
            budget=None if end is None else end - time.monotonic(),
            resume=not audit.fresh, run=run, executor=audit.executor,
        )  # fmt: skip
