"""A page for every error code, from the catalogue that `holdfast show E0117` prints."""

from __future__ import annotations

from docs.generator.methods import ORPHAN
from docs.generator.text import code, escaped, table

from holdfast.cli.error_pages import FAMILIES, Page, pages

_SAYS = (
    "An error names the place, the rule, the value found and one action that repairs it. Its code",
    "is stable, so it can be searched for. Each page below has a command that provokes the error",
    "and one that then works; both are run by the tests.",
)


def page(one: Page) -> str:
    """One code."""
    lines = [ORPHAN, f"# {one.code}: {escaped(one.title)}", ""]
    lines += [f"[Errors](index.md) · {escaped(one.family)}", ""]
    lines += ["## Why it happens", "", escaped(one.cause), "", "## What to do", ""]
    lines += [escaped(one.fix), ""]
    if one.case:
        lines += ["A command that fails so:", "", *code(f"$ {one.case}", "console")]
    lines += ["One that works:", "", *code(f"$ {one.example}", "console")]
    lines += [f"In a terminal: `holdfast show {one.code}`", ""]
    return "\n".join(lines)


def every() -> dict[str, str]:
    """Every page by its path, with an index by family."""
    known = pages()
    made = {f"errors/{name}.md": page(one) for name, one in known.items()}
    lines = ["# Errors", "", *_SAYS, ""]
    for family, says in FAMILIES.items():
        rows = [[f"[{n}]({n}.md)", escaped(p.title)] for n, p in known.items() if n[:3] == family]
        if rows:
            lines += [f"## {says[0].upper()}{escaped(says[1:])}", "", *table(["code", ""], rows)]
    made["errors/index.md"] = "\n".join(lines)
    return made
