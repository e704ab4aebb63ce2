"""The command line; nothing heavy is imported before a command needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from holdfast.cli.front import run

        code = run()
    except KeyboardInterrupt:  # before there was anything to stop
        code = 130
    raise SystemExit(code)
