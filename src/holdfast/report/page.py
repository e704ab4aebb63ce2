"""Put the page together: one file, no request, scripts and styles allowed by their hash alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from holdfast.report.body import sections
from holdfast.report.document import Document, mapping
from holdfast.report.drawn import Desk, Thrift
from holdfast.report.screen import screen
from holdfast.report.stages import timed
from holdfast.report.thinned import thinned
from holdfast.report.vega import CONFIG

LIMIT = 1_500_000
_HERE = Path(__file__).parent
_LIBRARIES = ("vega", "vega-lite", "vega-embed")
_THRIFT = (
    Thrift(), Thrift(120_000, 100, 400), Thrift(40_000, 40, 160), Thrift(0, 12, 60),
    Thrift(0, 4, 24), Thrift(0, 1, 12),
)  # fmt: skip


@lru_cache(maxsize=16)
def asset(name: str) -> str:
    """A text file of the package, without the pointer to a source map that nobody ships."""
    plain = (_HERE / "assets" / name).read_text(encoding="utf-8")
    return re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", plain)


def digest(content: str) -> str:
    """What a content security policy names a script or style by."""
    raw = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(raw).decode('ascii')}'"


def data(value: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(plain)


def policy(scripts: list[str], style: str) -> str:
    """Nothing may load, only these scripts and this style may act."""
    allowed = " ".join(map(digest, scripts)) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    """The templates of the package; everything that is not marked as safe is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(results: Document, run: Document, baseline: Document, thrift: Thrift) -> str:
    """The page within one allowance of pictures and rows."""
    desk = Desk(thrift)
    parts = sections(desk, results, run, baseline)
    names = [f"vega/{n}.min.js" for n in _LIBRARIES] if desk.charts else []
    scripts = [asset(n) for n in (*names, "report.js")]
    style = asset("report.css")
    licences = [(n, asset(f"vega/{n}.LICENSE")) for n in _LIBRARIES] if desk.charts else []
    context: dict[str, Any] = {
        "policy": policy(scripts, style),
        "style": Markup(style),
        "scripts": [Markup(s) for s in scripts],
        "charts": data({"config": CONFIG, "charts": desk.charts}),
        "screen": screen(results, run),
        "sections": parts,
        "licences": licences,
    }
    return _templates().get_template("page.html").render(context)


def render_html(results: Document, *, run: Document | None = None,
                baseline: Document | None = None) -> str:  # fmt: skip
    """One HTML file that opens offline, with a strict policy, of at most 1.5 MB.

    Everything in the document counts as hostile: text is escaped, pictures must be PNG data,
    links must be https. Where the page would grow beyond the limit, pictures and the tails of
    data tables are left out, step by step, and the page says so.

    Args:
        results: the document `results.json`; any part may be absent.
        run: the document `run.json` (times, host, paths), if there is one.
        baseline: the `results.json` of an earlier audit to compare with.

    Returns:
        The page as text.
    """
    page, told = "", timed(thinned(mapping(results)), mapping(run))
    for thrift in _THRIFT:
        page = _render(told, mapping(run), mapping(baseline), thrift)
        if len(page.encode("utf-8")) <= LIMIT:
            break
    return page
