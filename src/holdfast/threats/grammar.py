"""The one grammar of threats: command line, configuration, report and file names.

A term is `name:number`, e.g. `linf:8/255`, `l2:0.5`, `rotation:30`, `patch:5x5`,
`latent:layer2:0.1`; a last word `low..high` gives the range of inputs if it is not 0..1. Terms
joined by `+` act together (`rotation:30+translation:0.1`); `shared+` in front makes one change
serve all inputs.
"""

from __future__ import annotations

from typing import Any

from holdfast.core.catalog import entries, find
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Threat


def parse(text: str) -> Threat:
    """The threat that a text describes; `parse(threat.spec) == threat`.

    Args:
        text: in the grammar above.

    Raises:
        ConfigError: naming the word that is wrong and how to write it.
    """
    terms = [term.strip() for term in text.strip().split("+")]
    if terms[0] == "shared" and len(terms) > 1:
        return _class("shared", text)(threat=_sum(terms[1:], text))  # type: ignore[no-any-return]
    return _sum(terms, text)


def show(threat: Threat) -> str:
    """The threat as text."""
    return threat.spec


def _sum(terms: list[str], text: str) -> Threat:
    parts = tuple(_term(term, text) for term in terms)
    if len(parts) == 1:
        return parts[0]
    return _class("product", text)(parts=parts)  # type: ignore[no-any-return]


def _term(term: str, text: str) -> Threat:
    name, *words = term.split(":")
    if not words and name.strip().replace(".", "").replace("/", "").isdigit():
        raise ConfigError(
            f"threat {text!r}: the norm is missing", fix=f"Write linf:{name}.", code="E0140"
        )
    cls = _class(name.strip().lower(), text)
    if not hasattr(cls, "parsed"):
        raise ConfigError(
            f"threat {text!r}: {name.strip()!r} joins other threats and stands for none itself",
            fix="Write shared+linf:8/255, or rotation:30+translation:0.1.",
            code="E0140",
        )
    return cls.parsed(words, text)  # type: ignore[no-any-return]


def _class(name: str, text: str) -> Any:
    try:
        return find(f"threat:{name}").thing
    except ConfigError as error:
        known = ", ".join(e.name for e in entries("threat"))
        near = error.fix if "Did you mean" in error.fix else f"Threats: {known}."
        raise ConfigError(
            f"threat {text!r}: there is no threat {name!r}",
            fix=near.replace("threat:", ""),
            code="E0140",
        ) from None
