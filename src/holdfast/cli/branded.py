"""What weights say of the recipe that made them: one that is known to be broken is named."""

from __future__ import annotations

import sys
from pathlib import Path

from holdfast.core.records import Finding, Severity

_LONGEST = 200  # letters of a text that comes from a file


def branded(model: str) -> tuple[Finding, ...]:
    """A failure, where `holdfast harden` wrote a file by a recipe that nobody should rely on.

    The file says so itself, so that it is told wherever the file goes without its card; a recipe
    that was found broken since is known by its name in the catalogue.

    Args:
        model: as the user named it.
    """
    about = _head(Path(model))
    recipe = about.get("recipe", "")[:_LONGEST]
    caution = about.get("caution", "")[:_LONGEST] or (_known(recipe) if recipe else "")
    if not caution:
        return ()
    by = f"the recipe {recipe}" if recipe else "a recipe"
    return (
        Finding(
            severity=Severity.FAILURE,
            says=f"It was hardened for study, by {by}, which is known not to protect: {caution}.",
            advice="Trust no attack on it that ends early. A recipe that protects: --recipe trades",
        ),
    )


def warned(model: str) -> tuple[Finding, ...]:
    """The same, printed before anything is asked."""
    found = branded(model)
    for finding in found:
        print(f"  ✗ {finding.says}\n    {finding.advice}", file=sys.stderr)
    return found


def hardened(model: str) -> bool:
    """Whether a file says that a recipe against a threat made it.

    Args:
        model: as the user named it.
    """
    from holdfast.core.catalog import entries
    from holdfast.recipes.families import WORST, families

    recipe = _head(Path(model)).get("recipe", "").removeprefix("recipe:")
    found = next((e for e in entries("recipe") if e.name == recipe and not e.caution), None)
    return found is not None and WORST in families(found.key)


def _head(file: Path) -> dict[str, str]:
    """The texts in the header of a file of safetensors; nothing for any other file."""
    if file.suffix != ".safetensors" or not file.is_file():
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as source:
            return dict(source.metadata() or {})
    except (SafetensorError, OSError):  # what is wrong with it, its reader says
        return {}


def _known(recipe: str) -> str:
    """Why the catalogue warns of a recipe; empty where it does not, or does not know it."""
    from holdfast.core.catalog import entries

    kind, _, name = recipe.rpartition(":")
    if kind not in ("", "recipe", "objective"):  # of the user's own file
        return ""
    found = (e for e in entries(kind or "recipe") if e.name == name)
    return next((e.caution for e in found), "")
