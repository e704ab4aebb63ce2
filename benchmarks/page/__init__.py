"""The page that benchmarks write: one section each, in the order of their titles."""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`: each file of `benchmarks/` owns a section. Numbers of one table were
measured in one process and run; compare them with each other, not with those of another machine.
Remarks in block quotes are written by hand and stay.
"""


def write(title: str, body: str) -> None:
    """Replace (or add) a section but for remarks by hand, leave all others, and show it.

    Args:
        title: what stands behind `##`.
        body: Markdown without headings of level two.
    """
    old = PAGE.read_text("utf-8") if PAGE.exists() else HEAD
    _, *parts = old.split("\n## ")
    sections = {name: text.strip() for name, _, text in (p.partition("\n") for p in parts)}
    remarks = [line for line in sections.get(title, "").splitlines() if line.startswith(">")]
    sections[title] = "\n".join([body.strip(), *([""] if remarks else []), *remarks])
    text = "\n".join(f"\n## {name}\n\n{sections[name]}" for name in sorted(sections))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(f"{HEAD}{text}\n", "utf-8")
    sys.stdout.write(f"## {title}\n\n{body.strip()}\n")
