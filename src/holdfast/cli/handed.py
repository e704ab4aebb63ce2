"""What an audit hands over: the files of its run, others asked for, the verdict on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit, Outputs


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
    from holdfast.run.placeless import placeless

    audit.store.keep(run, "results.json", report.render_json(placeless(results)))
    audit.store.keep(run, "run.json", about)
    plain = json.loads(report.render_json(results))
    place = audit.store.keep(
        run, "report.html", report.render_html(plain, run=about, baseline=baseline)
    )
    markdown = report.render_markdown(plain, run=about, baseline=baseline)
    audit.store.keep(run, "summary.md", markdown)
    asked_for(audit.outputs, plain, markdown)
    return place


def asked_for(outputs: Outputs, plain: dict[str, Any], markdown: str) -> None:
    """Write the files that the command names.

    Args:
        outputs: which.
        plain: the results, as JSON has them.
        markdown: the summary.
    """
    from holdfast import report
    from holdfast.cli.hosts import stands
    from holdfast.run.writing import write as put

    wanted: dict[str | None, Callable[[], str]] = {
        outputs.markdown: lambda: markdown,
        outputs.junit: partial(report.render_junit, plain),
        outputs.sarif: partial(report.render_sarif, plain, **stands(plain)),
    }
    for name, render in wanted.items():
        if name:
            put(Path(name), render())


def present(outputs: Outputs, results: dict[str, Any], seconds: float, place: Path) -> None:
    """Show the verdict, or with --json the document alone."""
    from holdfast.cli.hosts import annotate
    from holdfast.cli.verdict import show
    from holdfast.report import render_json
    from holdfast.run.placeless import placeless

    size = place.stat().st_size / 1e6
    where = f"{place}   ({size:.1f} MB, opens offline)"
    if outputs.json:
        sys.stdout.write(render_json(placeless(results)))
        sys.stdout.flush()
    else:
        show(results, seconds=seconds, report=where)
    annotate(results, outputs.github, sys.stderr if outputs.json else sys.stdout)
    if outputs.open:
        import webbrowser

        webbrowser.open(place.resolve().as_uri())
