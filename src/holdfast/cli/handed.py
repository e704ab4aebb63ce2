"""What an audit hands over: the files of its run, others asked for, the verdict on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit


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
    from holdfast.cli.hosts import stands
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
        audit.outputs.sarif: partial(report.render_sarif, **stands(plain)),
    }
    for name, render in wanted.items():
        if name:
            put(Path(name), render(plain))
    return place


def present(audit: Audit, results: dict[str, Any], seconds: float, place: Path) -> None:
    """Show the verdict, or with --json the document alone."""
    from holdfast.cli.hosts import annotate
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
    annotate(results, audit.outputs.github, sys.stderr if audit.outputs.json else sys.stdout)
    if audit.outputs.open:
        import webbrowser

        webbrowser.open(place.resolve().as_uri())
