"""`llms.txt`: the site in one page of plain text, for programs that read."""

from __future__ import annotations

from holdfast import __version__
from holdfast.cli.error_pages import pages
from holdfast.cli.front import COMMANDS
from holdfast.core.catalog import entries
from holdfast.core.kinds import KINDS

GUIDES = (
    ("quickstart", "from nothing to a verdict, every command as it printed"),
    ("robustness-number", "how to read a robustness number: bounds, intervals, flags"),
    ("threat-models", "which threat to choose, and how to write it"),
    ("ci", "gates in a pipeline, exit codes, files for CI"),
    ("schemas", "JSON Schemas of holdfast.toml and results.json"),
    ("claims", "every claim and whether it held"),
    ("errors/index", "every error code with a command that repairs it"),
)  # fmt: skip


def text() -> str:
    """The whole file."""
    lines = [
        f"# Holdfast {__version__}", "",
        "> The robustness workbench for neural networks in PyTorch: measure how a model breaks, "
        "prove how far it holds, explain why, harden, shrink and guard it. One library, one "
        "command line, one report. Offline, no telemetry.", "",
        "Exit codes: 0 every gate passes, 1 a gate fails, 2 usage, 3 undecided, 4 internal, 130 "
        "interrupted (the same command goes on). Add --json for one JSON document on standard "
        "output; progress goes to standard error. An error prints a code; `holdfast show CODE "
        "--json` gives its cause, its fix and a command that works.", "", "## Guides", "",
        *(f"- [{name}]({name}.html): {says}" for name, says in GUIDES), "", "## Commands", "",
    ]  # fmt: skip
    for heading, commands in COMMANDS.items():
        lines.append(f"- {heading}: " + ", ".join(f"holdfast {name}" for name in commands))
    lines += ["", "## A scripted audit", "",
              "1. holdfast audit MODEL --data DATA --json > results.json",
              "2. holdfast init --from-run last    (gates one interval below today's values)",
              "3. holdfast audit MODEL --data DATA --junit gates.xml    (exit code 1: one fails)",
              "4. holdfast harden MODEL --data DATA --recipe auto, then audit again", "",
              "## Methods", ""]  # fmt: skip
    for kind in sorted(KINDS):
        for entry in entries(kind):
            lines.append(f"- [{entry.key}](methods/{kind}/{entry.name}.html): {entry.says}")
    lines += ["", "## Errors", ""]
    lines += [f"- [{n}](errors/{n}.html): {p.title}. {p.fix}" for n, p in pages().items()]
    return "\n".join(lines) + "\n"
