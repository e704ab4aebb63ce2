"""The command line; nothing heavy is imported before a command needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from holdfast.cli.front import run

    raise SystemExit(run())
