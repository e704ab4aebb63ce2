"""Ready files for the pipelines of code hosts, and what a host is told besides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from holdfast.core.errors import ConfigError

GITHUB = """name: holdfast
on: [push, pull_request]
jobs:
  audit:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {uses: actions/setup-python@v5, with: {python-version: "3.12"}}
      - {uses: actions/cache@v4, with: {path: .holdfast, key: "holdfast-${{ github.run_id }}", restore-keys: holdfast-}}
      - run: pip install holdfast
      - run: holdfast audit --junit junit.xml --sarif holdfast.sarif --markdown summary.md
      - {if: always(), run: cat summary.md >> "$GITHUB_STEP_SUMMARY"}
      - {if: always(), uses: actions/upload-artifact@v4, with: {name: holdfast, path: .holdfast/runs, include-hidden-files: true}}
"""  # noqa: E501 - one step a line
GITLAB = """holdfast:
  image: python:3.12
  cache: {key: holdfast, paths: [.holdfast/]}
  script:
    - pip install holdfast
    - holdfast audit --junit junit.xml --sarif holdfast.sarif --markdown summary.md
  artifacts:
    when: always
    paths: [.holdfast/runs/, holdfast.sarif, summary.md]
    reports: {junit: junit.xml}
"""
FILES = {"github": (".github/workflows/holdfast.yml", GITHUB), "gitlab": (".gitlab-ci.yml", GITLAB)}


def pipeline(host: str, folder: Path | None = None) -> dict[Path, str]:
    """The file that makes a host audit every push, by its place; empty for `none`.

    Args:
        host: github, gitlab or none; `auto` is what the folder looks like.
        folder: the root of the repository.

    Raises:
        ConfigError: for any other host.
    """
    here = folder or Path()
    if host == "auto":
        host = "gitlab" if (here / ".gitlab-ci.yml").exists() else "github"
        config = here / ".git" / "config"
        if config.is_file() and "gitlab" in config.read_text("utf-8", "replace").lower():
            host = "gitlab"
    if host == "none":
        return {}
    if host not in FILES:
        raise ConfigError(
            f"--ci: there is no pipeline for {host!r}", fix="Write --ci github, gitlab or none.",
            code="E0178",
        )  # fmt: skip
    place, words = FILES[host]
    return {here / place: words}


def on_github() -> bool:
    """Whether this runs as a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def seen_from_root(file: str) -> str:
    """A file of this folder as the host names it: from the root of the repository."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    if not file or not root:
        return file
    place, top = Path(file).resolve(), Path(root).resolve()
    return place.relative_to(top).as_posix() if place.is_relative_to(top) else file


def stands(results: Mapping[str, Any]) -> dict[str, Any]:
    """The file of the gates as the host names it, and their lines; empty for the usual gates."""
    from holdfast.run.places import places

    name = results["gates_from"]
    if name == "default":
        return {}
    return {"file": seen_from_root(name), "lines": places(Path(name))}


def annotate(results: Mapping[str, Any], asked: bool, stream: TextIO) -> None:
    """Point at the lines of gates that do not pass, where asked to or where GitHub listens."""
    import json

    from holdfast.report import render_github, render_json

    if asked or on_github():
        told = render_github(json.loads(render_json(results)), **stands(results))
        print(told, end="", file=stream, flush=True)
