"""Help as plain text, each option under what it is about; drawn without rich, so it is quick."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

from typer.core import TyperCommand

_GAP, _MOST = 2, 26
_UNITS = {"int": "N", "float": "X"}


def bold(text: str) -> str:
    """A heading; the marks fall away where the output is no terminal."""
    return text if os.environ.get("NO_COLOR") else f"\033[1m{text}\033[0m"


def table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns, the second one wrapped to the width of the terminal."""
    rows = list(rows)
    space = min(shutil.get_terminal_size((80, 24)).columns, 100)
    first = min(max((len(name) for name, _ in rows), default=0), _MOST) + _GAP
    lines = []
    for name, says in rows:
        told = wrap(says, max(space - first - 2, 20)) or [""]
        fits = len(name) + _GAP <= first
        if not fits:
            lines.append(f"  {name}")
        lines.append(f"  {name if fits else '':<{first}}{told[0]}".rstrip())
        lines += [f"  {'':<{first}}{more}" for more in told[1:]]
    return lines


def paragraphs(text: str) -> list[str]:
    """Paragraphs of a docstring, each wrapped anew."""
    space = min(shutil.get_terminal_size((80, 24)).columns, 100)
    lines: list[str] = []
    for part in text.strip().split("\n\n"):
        lines += ["", *wrap(" ".join(part.split()), space - 2, initial_indent="  ",
                            subsequent_indent="  ")]  # fmt: skip
    return lines


def _value(option: Any) -> str:
    """What stands behind an option: nothing for a switch, else the kind of its value."""
    if getattr(option, "is_flag", False):
        return ""
    named = getattr(option, "metavar", None)
    kind = getattr(getattr(option, "type_descriptor", None), "annotation", str)
    plain = _UNITS.get(getattr(kind, "__name__", ""), "TEXT")
    return f" {named or plain}"


def _row(option: Any) -> tuple[str, str]:
    """An option or argument and what it means, with its default."""
    if option.param_type_name == "argument":
        name = str(option.name).rstrip("_").upper()
        name = name if option.required else f"[{name}]"
    else:
        name = ", ".join((*option.opts, *option.secondary_opts)) + _value(option)
    notes: list[str] = []
    default = option.default
    if option.required and option.param_type_name == "option":
        notes.append("required")
    elif default not in (None, "", False) and not getattr(option, "is_flag", False):
        notes.append(f"default {default}")
    return name, (option.help or "") + (f" ({', '.join(notes)})" if notes else "")


class Command(TyperCommand):
    """A command whose help is the text below."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        shown = [p for p in self.params if not getattr(p, "hidden", False)]
        words = [_row(p)[0] for p in shown if p.param_type_name == "argument"]
        usage = " ".join([ctx.command_path, *words, "[OPTIONS]"])
        lines = [f"{bold('Usage:')} {usage}", *paragraphs(self.help or "")]
        panels: dict[str, list[tuple[str, str]]] = {}
        for option in shown:
            heading = "Arguments" if option.param_type_name == "argument" else "Options"
            about = getattr(option, "rich_help_panel", None) or heading
            panels.setdefault(about, []).append(_row(option))
        panels.setdefault("Options", []).append(("-h, --help", "Show this text."))
        panels["Options"] = panels.pop("Options")  # the rest comes last
        for heading, rows in panels.items():
            lines += ["", bold(heading), *table(rows)]
        formatter.write("\n".join(lines) + "\n")


def overview(says: str, panels: Mapping[str, Mapping[str, str]], last: str) -> str:
    """The help of the program: its commands under what they are for."""
    lines = [f"{bold('Usage:')} holdfast COMMAND [OPTIONS]", *paragraphs(says)]
    width = max(len(name) for rows in panels.values() for name in rows)
    for heading, rows in panels.items():
        lines += ["", bold(heading)]
        lines += table((f"{name:<{width}}", told) for name, told in rows.items())
    return "\n".join([*lines, *paragraphs(last)]) + "\n"
