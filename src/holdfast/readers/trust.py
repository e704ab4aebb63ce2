"""Programs that the user said to trust: remembered by their contents, so that it is said once.

The list lies among the user's own settings, never in the project: a project that brings a hostile
model along cannot bring the trust in it too.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path


def fingerprint(path: Path) -> str:
    """SHA-256 (hex) of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ledger() -> Path:
    """The list of trusted contents, one SHA-256 a line; it need not be there."""
    from platformdirs import user_state_path

    return user_state_path("holdfast", appauthor=False) / "trusted.txt"


def known(path: Path) -> bool:
    """Whether the user has trusted a file of exactly these contents before."""
    try:
        lines = ledger().read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return fingerprint(path) in lines


def remember(path: Path) -> None:
    """Note that the user trusts these contents; where nothing can be written it is asked again."""
    if known(path):
        return
    with suppress(OSError):
        ledger().parent.mkdir(parents=True, exist_ok=True)
        with ledger().open("a", encoding="ascii") as file:
            file.write(fingerprint(path) + "\n")


def trusted(path: Path, said: bool) -> bool:
    """Whether code in a file may run: the user says so now, or has said so of these contents."""
    if said:
        remember(path)
    return said or known(path)
