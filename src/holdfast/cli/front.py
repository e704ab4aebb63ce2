"""The front door: all commands, and what happens when one of them cannot finish."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import typer

from holdfast import __version__
from holdfast.cli import audit, claim, demo, diff, doctor, harden, init, lists, runs
from holdfast.core.errors import Contradiction, HoldfastError, Interrupted

app = typer.Typer(
    name="holdfast",
    help="Find out how your model breaks, prove how far it holds, make it hold further.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: holdfast demo (a minute, offline), then holdfast audit MODEL --data DATA",
)
START, ACT, EVIDENCE, HELP = "Start here", "Act", "Evidence", "Help"
app.command("demo", rich_help_panel=START)(demo.demo)
app.command("audit", rich_help_panel=START)(audit.audit)
app.command("harden", rich_help_panel=ACT)(harden.harden)
app.command("ls", rich_help_panel=EVIDENCE)(runs.ls)
app.command("show", rich_help_panel=EVIDENCE)(runs.show)
app.command("diff", rich_help_panel=EVIDENCE)(diff.diff)
app.command("claim", rich_help_panel=EVIDENCE)(claim.claim)
app.command("papers", rich_help_panel=EVIDENCE)(lists.papers)
app.command("list", rich_help_panel=HELP)(lists.list_)
app.command("doctor", rich_help_panel=HELP)(doctor.doctor)
app.command("init", rich_help_panel=HELP)(init.init)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _crash() -> int:
    """An error of ours: a short message, the traceback in a file."""
    text = traceback.format_exc()
    handle, name = tempfile.mkstemp(prefix="holdfast-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    last = text.strip().rpartition("\n")[2]
    _say(f"E0001  holdfast itself failed: {last[:300]}")
    _say(f"       The traceback is in {Path(name)}. Finished cells are kept.")
    return 4


def run(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `holdfast`; those of the process unless given.

    Returns:
        The exit code: 0 pass, 1 a gate fails, 2 usage, 3 undecided, 4 internal, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(__version__)
        return 0
    try:
        # Straight to the command: typer imports pydantic to coerce options of the whole program.
        command: Any = typer.main.get_command(app)
        inner = command.commands.get(words[0]) if words else None
        name = "holdfast" if inner is None else f"holdfast {words.pop(0)}"
        code = (inner or command)(words, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped; nothing finished is lost. The same command continues.")
        return 130
    except Exception as error:
        return _explained(error)


def _explained(error: Exception) -> int:
    """Say what went wrong and how to repair it."""
    if isinstance(error, HoldfastError):
        _say(str(error))
        for name, witness in getattr(error, "witnesses", {}).items():
            _say(f"       {name}: {witness}")
        return {Contradiction: 4, Interrupted: 130}.get(type(error), 2)
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # usage, said by the parser
        error.show()
        return int(error.exit_code)
    return _crash()
