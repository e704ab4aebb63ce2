"""One audit from subject to report: run, judge, write, show."""

from __future__ import annotations

import json
import platform
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.progress import Told

if TYPE_CHECKING:
    from holdfast.core.records import Finding, Report, Subject
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
        budget: seconds, None without a limit.
        preflight: findings about the question itself.
        options: what was asked for, so that the next audit of this model can repeat it.
        against: name of an earlier run to compare with, empty for none.
        harden: the command that would train the model.
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
    harden: str = ""
    fresh: bool = False
    executor: Executor | None = None
    outputs: Outputs = field(default_factory=Outputs)


def now() -> str:
    """This moment in UTC, for `run.json` and the ledger only."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def standings() -> dict[str, str]:
    """What the committed ledger of claims says about each method."""
    from holdfast.claims.harness import claims, ledger

    rows = ledger()
    if not rows:
        return {}
    found: dict[str, str] = {}
    for key, claim in claims().items():
        for method in claim.methods:
            found[method] = str(rows.get(key, {}).get("standing", "not tried"))
    return found


def facts(audit: Audit, report: Report, started: str, seconds: float) -> dict[str, Any]:
    """What `run.json` holds: everything that differs between two equal audits."""
    import torch

    from holdfast import __version__

    return {
        "started": started,
        "finished": now(),
        "seconds": seconds,
        "checks": {o.check: o.seconds for o in report.outcomes},
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "holdfast": __version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "argv": sys.argv,
        "folder": str(Path.cwd()),
        "options": audit.options,
    }


def _values(results: Mapping[str, Any]) -> dict[str, float]:
    readings = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    return {r["name"]: r["value"] for r in readings if r["value"] is not None}


def conduct(audit: Audit) -> int:
    """Run an audit, write its report and show the verdict.

    Returns:
        The exit code of the verdict.
    """
    from holdfast.run.document import document
    from holdfast.run.suite import audit as ask
    from holdfast.run.suite import identity
    from holdfast.run.verdict import INTERRUPTED, verdict

    begun, started, store = time.monotonic(), now(), audit.store
    baseline = store.results(store.find_run(audit.against).id) if audit.against else None
    whole = identity(audit.suite, audit.subject)
    run = store.name_run(audit.stem, whole, started[:10], fresh=audit.fresh)
    store.ledger.open_run(run, whole, audit.stem, audit.suite.name, started, audit.options)
    with Told() as told:
        report = ask(
            audit.suite, audit.subject, store=store, budget=audit.budget, progress=told,
            resume=not audit.fresh, run=run, executor=audit.executor,
        )  # fmt: skip
    gates, origin = audit.gates
    known = None if baseline is None else _values(baseline)
    judged = verdict(report.readings, gates, report.outcomes, known)
    results = document(
        report, audit.subject, audit.suite.checks, judged, gates_from=origin,
        preflight=audit.preflight, claims=standings(), command=audit.command, harden=audit.harden,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    about = facts(audit, report, started, seconds)
    place = write(audit, run, results, about, baseline)
    stopped = judged.code == INTERRUPTED
    state = "partial" if stopped else "finished"
    store.ledger.close_run(run, now(), state, judged.word, judged.code)
    present(audit, results, seconds, place)
    return 0 if audit.outputs.exit_zero and not stopped else judged.code


def write(
    audit: Audit,
    run: str,
    results: dict[str, Any],
    about: dict[str, Any],
    baseline: Mapping[str, Any] | None,
) -> Path:
    """Write results, facts and report into the run's folder, and the files asked for.

    Returns:
        The HTML report.
    """
    from holdfast import report
    from holdfast.run.writing import write as put

    audit.store.keep(run, "results.json", report.render_json(results))
    audit.store.keep(run, "run.json", about)
    plain = json.loads(report.render_json(results))
    place = audit.store.keep(
        run, "report.html", report.render_html(plain, run=about, baseline=baseline)
    )
    audit.store.keep(run, "summary.md", report.render_markdown(plain))
    wanted = {
        audit.outputs.markdown: report.render_markdown,
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

    size = place.stat().st_size / 1e6
    where = f"{place}   ({size:.1f} MB, opens offline)"
    if audit.outputs.json:
        sys.stdout.write(render_json(results))
        sys.stdout.flush()
    else:
        show(results, seconds=seconds, report=where)
    if audit.outputs.open:
        import webbrowser

        webbrowser.open(place.resolve().as_uri())
