"""Codes of hardening in several processes, said without starting any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.errors.said import Said, Tell, failed

from holdfast.cli import company
from holdfast.recipes.standard import Standard
from holdfast.run import ranks


def _two(patch: Any) -> None:
    patch.setattr(ranks, "join_group", lambda device: None)
    patch.setattr(ranks, "world", lambda: 2)
    patch.setattr(ranks, "rank", lambda: 0)
    patch.setattr(company.dist, "destroy_process_group", lambda: None)


def crowded(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    _two(patch)
    return failed(lambda: company.shared("standard", Standard(), 1, watched=True))


def unshared(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    _two(patch)
    return failed(lambda: company.shared("convex", object(), 128, watched=False))


def deserted(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A process whose neighbour is gone."""

    def waits() -> None:
        with company.joined():
            raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")

    _two(patch)
    return failed(waits)


CASES: dict[str, Callable[[Path, Any, Tell, Any], Said]] = {
    "E0192": crowded,
    "E0360": unshared,
    "E0361": deserted,
}
