"""The report keeps within its bytes, whatever stands behind it."""

from __future__ import annotations

import math
import time
from typing import Any

from tests.report import sample

from holdfast.core.catalog import entries
from holdfast.report import render_html
from holdfast.report.page import LIMIT
from holdfast.report.words import SECTIONS

BUDGET = 5_000_000
ROWS = 1_000_000
LONG = ("table", "bars", "lines", "heat", "histogram", "reliability", "envelope", "gallery")
PICTURE = sample.png(3)


def row(kind: str, i: int, n: int) -> dict[str, Any]:
    """One row of a figure of its kind."""
    x = i / n
    return {
        "table": {"label": f"row {i}", "value": x, "rows": i},
        "bars": {"label": f"row {i}", "value": x, "low": x / 2, "high": (1 + x) / 2, "n": n},
        "lines": {"x": x, "y": math.sin(9 * x) / 2 + 0.5, "series": f"s{i % 3}"},
        "heat": {"row": f"kind {i % 40}", "column": i // 40, "value": x, "n": n},
        "histogram": {"left": x, "right": (i + 1) / n, "count": i % 7, "series": "rows"},
        "reliability": {"confidence": x, "accuracy": x * x, "count": 1 + i % 5},
        "envelope": {"radius": x, "accuracy": 1 - x, "low": 0.9 - 0.9 * x, "high": 1 - x / 2,
                     "bound": "upper", "norm": "linf"},
        "gallery": {"title": f"row {i}", "caption": "found", "image": PICTURE,
                    "changed": PICTURE, "difference": PICTURE},
    }[kind]  # fmt: skip


def made(kind: str, name: str, n: int) -> dict[str, Any]:
    rows = [row(kind, i, n) for i in range(n)]
    return sample.figure(name, kind, f"{kind} of {name}", "It bends.", rows, x="x", y="y")


def everything() -> dict[str, Any]:
    """An outcome for every method of the catalogue with figures, and ROWS rows behind them all."""
    known, document = entries(), sample.results()
    sections = [s for s in SECTIONS if s not in ("risk", "failures", "cost", "change")]
    usual = [k for k in LONG if k != "envelope"]
    for place, entry in enumerate(known):
        name, kind = f"{entry.kind}.{entry.name}", usual[place % len(usual)]
        found = sample.finding(
            "info", f"What {entry.key} found.", [sample.reading(name, 0.5)],
            [made(kind, name, 40)], rows=list(range(place, place + 50)),
        )  # fmt: skip
        section = sections[place % len(sections)]
        document["outcomes"].append(sample.outcome(entry.name, section, entry.says, found))
        document["methods"].append(
            {"key": entry.key, "says": entry.says, "title": "A paper", "year": 2020,
             "link": "https://example.org", "claim": "holds", "settings": {"steps": 40}}
        )  # fmt: skip
    for kind in LONG:
        found = sample.finding("info", f"Rows as {kind}.", [],
                               [made(kind, f"every row as {kind}", ROWS // len(LONG))])  # fmt: skip
        section = "attacks" if kind == "gallery" else "envelope" if kind == "envelope" else "slices"
        document["outcomes"].append(sample.outcome(f"long-{kind}", section, "All rows?", found))
    return document


def test_every_method_and_a_million_rows_fit_into_five_megabytes(figure):
    document = everything()
    begun = time.process_time()
    page = render_html(document)
    seconds, size = time.process_time() - begun, len(page.encode("utf-8"))
    figure("report of every method and 10^6 rows", f"{size / 1e6:.2f} MB, made in {seconds:.0f} s "
           "of the processor")  # fmt: skip
    assert size <= BUDGET and page.rstrip().endswith("</html>")
    for entry in entries():
        assert f"What {entry.key} found." in page, "no method is left out"
    assert "more rows in results.json" in page


def test_a_full_standard_report_fits_into_its_limit(figure):
    size = len(render_html(sample.results(), run=sample.run()).encode("utf-8"))
    figure("report with every section", f"{size / 1e6:.2f} MB")
    assert size <= LIMIT == 1_500_000
