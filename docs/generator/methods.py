"""A page for every method of the catalogue, and one per kind that lists them."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from typing import Any

from docs.generator import examples
from docs.generator.claims import Standing, standings
from docs.generator.kinds import KINDS
from docs.generator.text import arguments, body, code, escaped, paragraph, sections, table

from holdfast.core.catalog import Entry, entries
from holdfast.core.fields import schema
from holdfast.core.papers import papers

ORPHAN = "---\norphan: true\n---\n"
_BOUNDS = {
    "minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}",
}  # fmt: skip


def described(entry: Entry) -> Any:
    """What carries the docstring: a preset is explained by the class it is a setting of."""
    return entry.thing if inspect.isroutine(entry.thing) or isinstance(entry.thing, type) else type(
        entry.thing
    )  # fmt: skip


def properties(entry: Entry) -> dict[str, dict[str, Any]]:
    """What the schema says of each setting."""
    thing = described(entry)
    if not is_dataclass(thing):
        return {}
    try:
        found: dict[str, dict[str, Any]] = schema(thing).get("properties", {})
    except Exception:  # a setting that no schema can describe: its default is told all the same
        return {}
    return found


def ranged(about: dict[str, Any]) -> str:
    """The range of a setting in one line."""
    options = [about, *about.get("anyOf", ())]
    told = [form.format(f"{a[k]:g}") for a in options for k, form in _BOUNDS.items() if k in a]
    told += [" or ".join(map(str, a["enum"])) for a in options if "enum" in a]
    if told:
        return ", ".join(dict.fromkeys(told))
    return (
        str(about.get("type", "")).replace("number", "any number").replace("boolean", "yes or no")
    )


def shown(value: Any) -> str:
    """A default as it would be written."""
    text = value if isinstance(value, str) else getattr(value, "__name__", None) or repr(value)
    text = " ".join(str(text).split())
    return f"`{text[:60]}{' ...' if len(text) > 60 else ''}`" if text else "empty"


def settings(entry: Entry) -> list[str]:
    """The table of settings."""
    usual, says = examples.settings_of(entry), arguments(described(entry))
    ranges = properties(entry)
    if not usual:
        return ["It has no settings.", ""]
    rows = [
        [f"`{name}`", shown(value) if value is not None else "none",
         escaped(ranged(ranges.get(name, {}))), escaped(says.get(name, ""))]
        for name, value in usual.items()
    ]  # fmt: skip
    return table(["setting", "default", "range", "meaning"], rows)


def sources(entry: Entry) -> list[str]:
    """Where it comes from."""
    told = []
    for key in entry.cites:
        paper = papers().get(key)
        if paper is None:
            told.append(f"- `{key}`")
            continue
        title = escaped(paper.title)
        name = f"[{title}]({paper.link})" if paper.link.startswith("http") else title
        told.append(f"- {name} ({paper.year}). {paragraph(paper.claims)}")
        if paper.out_of_reach:
            told.append(f"  Out of reach here: {paragraph(paper.out_of_reach)}")
    return [*told, ""] if told else ["- Common knowledge of the field; no one paper.", ""]


def claimed(found: list[Standing]) -> list[str]:
    """What was claimed and whether it held."""
    if not found:
        return ["No claim names this method by itself; its laws and reference tests hold.", ""]
    told = []
    for one in found:
        told += [f"**{one.word[0].upper()}{one.word[1:]}.** {paragraph(one.says)}", ""]
        told += [
            f"Tried on {len(one.trials)} seed{'s' * (len(one.trials) != 1)}: "
            f"{escaped(one.left)} against {escaped(one.right)}: {escaped(one.numbers)}. "
            f"{escaped(one.bugs)} [All claims](../../claims.md)", "",
        ]  # fmt: skip
        told += [f"Why not: {paragraph(one.why)}", ""] if one.why else []
    return told


def page(entry: Entry, found: list[Standing]) -> tuple[str, bool]:
    """The page of one method, and whether its example does more than build it."""
    heading, _, when = KINDS[entry.kind]
    parts = sections(described(entry))
    first, _, rest = parts[""].partition("\n\n")
    lines = [ORPHAN, f"# {escaped(entry.name)}", "", f"[{heading}](index.md) · `{entry.key}`", ""]
    lines += [f"*{paragraph(entry.says)}*", ""]
    if entry.caution:
        lines += ["```{warning}", "Known not to protect: it is here for study. " +
                  paragraph(entry.caution), "```", ""]  # fmt: skip
    same = " ".join(first.split()).rstrip(".") == entry.says.rstrip(".")
    lines += body(rest if same else f"{first}\n\n{rest}")
    lines += [f"**When to use it:** {escaped(when)}.", "", "## Example", ""]
    text, real = examples.example(entry)
    lines += [*code(text), "## Settings", "", *settings(entry)]
    for name in ("Returns", "Raises", "Cost", "Unlike the paper"):
        if parts.get(name):
            lines += [f"**{name}:** {paragraph(parts[name])}", ""]
    lines += ["## Source", "", *sources(entry), "## Claim", "", *claimed(found)]
    lines += [f"In a terminal: `holdfast show {entry.key}`", ""]
    return "\n".join(lines), real


def pages() -> tuple[dict[str, str], int]:
    """Every page by its path, and how many examples do more than build their method."""
    by_method, made, real = standings(), {}, 0
    for kind in sorted(KINDS):
        known = entries(kind)
        if not known:
            continue
        heading, what, when = KINDS[kind]
        rows = []
        for entry in known:
            text, does = page(entry, by_method.get(entry.key, []))
            made[f"methods/{kind}/{entry.name}.md"], real = text, real + does
            words = {one.word for one in by_method.get(entry.key, [])}
            rows.append([f"[{escaped(entry.name)}]({entry.name}.md)", escaped(entry.says),
                         ", ".join(sorted(words)) or "·"])  # fmt: skip
        lines = [f"# {heading}", "", what, "", f"Use one {when}.", ""]
        made[f"methods/{kind}/index.md"] = "\n".join(
            [*lines, *table(["name", "what it does", "claim"], rows)]
        )
    made["methods/index.md"] = index()
    return made, real


def index() -> str:
    """The list of kinds."""
    known = {kind: len(entries(kind)) for kind in KINDS}
    rows = [[f"[{KINDS[k][0]}]({k}/index.md)", str(n), KINDS[k][1]] for k, n in known.items() if n]
    tree = ["```{toctree}", ":hidden:", "", *(f"{k}/index" for k, n in known.items() if n), "```"]
    return "\n".join([
        "# Methods", "",
        f"{sum(known.values())} methods of {len(rows)} kinds. Each has a page with its settings, "
        "its source, an example that is run as this page is made, and what became of its claim.",
        "", *table(["kind", "how many", "what it is"], rows), *tree, "",
    ])  # fmt: skip
