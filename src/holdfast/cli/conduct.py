"""One audit from subject to report: run, judge, write, show."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.budget import deadline, noted, spent
from holdfast.cli.facts import facts, now, standings
from holdfast.cli.progress import Told
from holdfast.cli.stop import Stop

if TYPE_CHECKING:
    from holdfast.core.records import Finding, Subject
    from holdfast.run.executors import Executor
    from holdfast.run.gates import Gate
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


def _values(results: Mapping[str, Any]) -> dict[str, float]:
    readings = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    return {r["name"]: r["value"] for r in readings if r["value"] is not None}


def conduct(audit: Audit) -> int:
    """Run an audit, write its report and show the verdict.

    Returns:
        The exit code of the verdict.
    """
    with Stop() as stop:
        return _conducted(audit, stop)


def _conducted(audit: Audit, stop: Stop) -> int:
    from holdfast.cli.prepare import foreseen
    from holdfast.run.document import document
    from holdfast.run.rates import Rates
    from holdfast.run.suite import audit as ask
    from holdfast.run.suite import identity
    from holdfast.run.verdict import INTERRUPTED, verdict

    begun, started, store = audit.begun or time.monotonic(), now(), audit.store
    rates = Rates.of_machine()
    end = deadline(begun, audit.budget, rates)
    baseline = store.results(store.find_run(audit.against).id) if audit.against else None
    whole = identity(audit.suite, audit.subject)
    run = store.name_run(audit.stem, whole, started[:10], fresh=audit.fresh)
    store.ledger.open_run(run, whole, audit.stem, audit.suite.name, started, audit.options)
    with Told(stop=stop, foresee=partial(foreseen, audit.subject, audit.suite)) as told:
        report = ask(
            audit.suite, audit.subject, store=store, progress=told, rates=rates,
            budget=None if end is None else end - time.monotonic(),
            resume=not audit.fresh, run=run, executor=audit.executor,
        )  # fmt: skip
    asked = time.monotonic()
    spent(report, audit.budget)
    gates, origin = audit.gates
    known = None if baseline is None else _values(baseline)
    judged = verdict(report.readings, gates, report.outcomes, known)
    results = document(
        report, audit.subject, audit.suite.checks, judged, gates_from=origin,
        preflight=audit.preflight, claims=standings(), command=audit.command, harden=audit.harden,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    about = facts(audit, report, started, seconds)
    about |= {"ledgers": told.times} if told.times else {}
    about |= {"command": results["command"], "actions": results["actions"]}
    place = write(audit, run, results, about, baseline)
    stopped = judged.code == INTERRUPTED
    state = "partial" if stopped else "finished"
    store.ledger.close_run(run, now(), state, judged.word, judged.code)
    present(audit, results, seconds, place)
    noted(rates, asked)
    return 0 if audit.outputs.exit_zero and not stopped else judged.code


def write(
    audit: Audit,
    run: str,
    results: dict[str, Any],
    about: dict[str, Any],
    baseline: Mapping[str, Any] | None,
) -> Path:
    """Write results, facts and report into the run's folder, and the files asked for.

    The document on disk names files without their folders; what a person reads has them.

    Returns:
        The HTML report.
    """
    from holdfast import report
    from holdfast.run.document import placeless
    from holdfast.run.writing import write as put

    audit.store.keep(run, "results.json", report.render_json(placeless(results)))
    audit.store.keep(run, "run.json", about)
    plain = json.loads(report.render_json(results))
    place = audit.store.keep(
        run, "report.html", report.render_html(plain, run=about, baseline=baseline)
    )
    markdown = partial(report.render_markdown, run=about, baseline=baseline)
    audit.store.keep(run, "summary.md", markdown(plain))
    wanted: dict[str | None, Callable[..., str]] = {
        audit.outputs.markdown: markdown,
        audit.outputs.junit: report.render_junit,
        audit.outputs.sarif: report.render_sarif,
    }
    for name, render in wanted.items():
        if name:
            put(Path(name), render(plain))
    return place


def present(audit: Audit, results: dict[str, Any], seconds: float, place: Path) -> None:
    """Show the verdict, or with --json the document alone."""
    from holdfast.cli.verdict import show
    from holdfast.report import render_json
    from holdfast.run.document import placeless

    size = place.stat().st_size / 1e6
    where = f"{place}   ({size:.1f} MB, opens offline)"
    if audit.outputs.json:
        sys.stdout.write(render_json(placeless(results)))
        sys.stdout.flush()
    else:
        show(results, seconds=seconds, report=where)
    if audit.outputs.open:
        import webbrowser

        webbrowser.open(place.resolve().as_uri())
