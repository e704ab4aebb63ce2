"""The bibliography: what each method comes from, read from the `papers.toml` beside the code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Paper:
    """One source.

    Args:
        key: as used in `cites`.
        title: of the publication.
        year: of its first appearance.
        link: where it can be read.
        role: what it gives to the package.
        claims: what it claims, in words.
        out_of_reach: what of it needs more than this project has, said openly.
        package: the package whose `papers.toml` holds it.
    """

    key: str
    title: str
    year: int
    link: str = ""
    role: str = ""
    claims: str = ""
    out_of_reach: str = ""
    package: str = ""


@cache
def papers() -> dict[str, Paper]:
    """All sources of all packages by key."""
    found: dict[str, Paper] = {}
    for package in sorted(files("holdfast").iterdir(), key=lambda p: p.name):
        toml = package / "papers.toml"
        if not package.is_dir() or not toml.is_file():
            continue
        for key, row in tomllib.loads(toml.read_text("utf-8")).items():
            found.setdefault(key, Paper(key=key, package=package.name, **row))
    return found
