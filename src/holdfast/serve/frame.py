"""Put a page together: the report's looks and ours, one script, all allowed by their hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from holdfast.report import page as report
from holdfast.serve.links import Links

_HERE = Path(__file__).parent
_TEMPLATES = (_HERE / "templates", Path(report.__file__).parent / "templates")


@dataclass(frozen=True)
class Frame:
    """What every page knows.

    Args:
        links: where the others are.
        token: that a form must bring along; empty where there is no form.
        store: name of the folder whose runs are shown.
    """

    links: Links = field(default_factory=Links)
    token: str = ""
    store: str = ""


@lru_cache(maxsize=1)
def style() -> str:
    """The report's style sheet and what the dashboard adds."""
    return report.asset("report.css") + (_HERE / "assets" / "serve.css").read_text("utf-8")


@lru_cache(maxsize=1)
def script() -> str:
    """The one script; every page works without it."""
    return (_HERE / "assets" / "serve.js").read_text("utf-8")


@lru_cache(maxsize=2)
def policy(static: bool) -> str:
    """What a page may do: act with this script and style, speak to its own server alone."""
    own = report.policy([script()], style())
    if static:
        return own
    served = own.replace("form-action 'none'", "form-action 'self'")
    return served + "; connect-src 'self'; frame-ancestors 'none'"


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    """Our templates and the report's; everything that is not marked as safe is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def render(template: str, frame: Frame, **told: Any) -> str:
    """A page as text."""
    every: dict[str, Any] = {
        "frame": frame, "links": frame.links, "static": frame.links.static,
        "policy": policy(frame.links.static), "style": Markup(style()), "script": Markup(script()),
    }  # fmt: skip
    return _templates().get_template(template).render(every | told)
