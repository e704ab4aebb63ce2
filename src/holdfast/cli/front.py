"""The front door: all commands, and what happens when one of them cannot finish."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, NamedTuple

import typer

from holdfast import __version__
from holdfast.cli import help
from holdfast.cli.began import just_now, with_process
from holdfast.core.errors import ConfigError, Contradiction, HoldfastError, Interrupted

SAYS = "Find out how your model breaks, prove how far it holds, make it hold further."
LAST = (
    "Start here: holdfast demo (a minute, offline), then holdfast audit MODEL --data DATA.\n\n"
    "Every command: --help. The program: --version."
)
# Each command's module is imported when the command is asked for.
COMMANDS: dict[str, dict[str, str]] = {
    "Start here": {"demo": "demo:demo", "audit": "audit:audit"},
    "Act": {
        "attack": "attack:attack", "shift": "shift:shift", "monitor": "monitor:monitor",
        "harden": "harden:harden",
    },
    "Prove": {
        "certify": "certify:certify", "verify": "verify:verify",
        "check-proof": "check_proof:check_proof",
    },
    "Evidence": {
        "ls": "runs:ls", "show": "runs:show", "diff": "diff:diff", "serve": "serve:serve",
        "history": "history:history", "claim": "claim:claim", "papers": "lists:papers",
    },
    "Help": {"list": "lists:list_", "doctor": "doctor:doctor", "init": "init:init"},
}  # fmt: skip

INTERRUPTED = 130


class Returned(NamedTuple):
    """What a command returned, so that it is not mistaken for what its parser did."""

    code: object


_DISK = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENOSPC, errno.EDQUOT,
)  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _crash() -> int:
    """An error of ours: a short message, the traceback in a file."""
    import tempfile
    import traceback

    text = traceback.format_exc()
    handle, name = tempfile.mkstemp(prefix="holdfast-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    last = text.strip().rpartition("\n")[2]
    _say(f"E0001  holdfast itself failed: {last[:300]}")
    _say(f"       The traceback is in {name}. Finished cells are kept.")
    return 4


def _function(place: str) -> Callable[..., int]:
    module, _, name = place.partition(":")
    found: Callable[..., int] = getattr(import_module(f"holdfast.cli.{module}"), name)
    return found


def overview() -> str:
    """The help of the program: each command with the first line of its help."""
    panels = {
        heading: {
            name: (_function(place).__doc__ or "").strip().partition("\n")[0]
            for name, place in commands.items()
        }
        for heading, commands in COMMANDS.items()
    }
    return help.overview(SAYS, panels, LAST)


def command(name: str) -> Any:
    """One command, made ready to read its words; the others are not looked at.

    Raises:
        ConfigError: if there is none of this name.
    """
    every = {n: place for commands in COMMANDS.values() for n, place in commands.items()}
    if name not in every:
        from difflib import get_close_matches

        near = get_close_matches(name, every, 1)
        raise ConfigError(
            f"holdfast: there is no command {name!r}",
            fix=f"Did you mean: holdfast {near[0]}" if near else "See: holdfast --help",
            code="E0122",
        )
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    names = {"help_option_names": ["-h", "--help"]}
    asked = _function(every[name])

    @wraps(asked)
    def called(*args: Any, **settings: Any) -> Returned:
        return Returned(asked(*args, **settings))

    app.command(name, cls=help.Command, context_settings=names)(called)
    return typer.main.get_command(app)


def run(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `holdfast`; those of the process unless given.

    Returns:
        The exit code: 0 pass, 1 a gate fails, 2 usage, 3 undecided, 4 internal, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    (with_process if arguments is None else just_now)()
    # The preflight and the self-checks say it in our own words, with what to do.
    warnings.filterwarnings("ignore", message="inputs lie in")
    try:
        if words == ["--version"]:
            print(__version__)
            return 0
        if not words or words[0] in ("-h", "--help"):
            typer.echo(overview(), nl=False)
            return 0
        one = command(words[0])
        code = one(words[1:], prog_name=f"holdfast {words[0]}", standalone_mode=False)
        if code == INTERRUPTED:  # the parser turns Ctrl-C into this number without a word
            raise KeyboardInterrupt
        sys.stdout.flush()
        code = code.code if isinstance(code, Returned) else code
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        kept = words[0] in ("audit", "attack", "verify", "harden")
        _say(f"E0700  stopped{'; nothing finished is lost' if kept else ''}")
        line = shlex.join(["holdfast", *words])
        _say(f"       {'Continue' if kept else 'Begin again'}: {line}")
        return INTERRUPTED
    except Exception as error:
        return _explained(error, words)


def _explained(error: Exception, words: list[str]) -> int:
    """Say what went wrong and how to repair it."""
    if isinstance(error, HoldfastError):
        _say(str(error))
        for name, witness in getattr(error, "witnesses", {}).items():
            _say(f"       {name}: {witness}")
        return {Contradiction: 4, Interrupted: 130}.get(type(error), 2)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # said by the parser
        wrong = str(error.format_message()).rstrip(".")
        fix = f"See: holdfast {words[0]} --help"
        _say(str(ConfigError(f"holdfast {words[0]}: {wrong}", fix=fix, code="E0123")))
        return 2
    if isinstance(error, OSError) and error.errno in _DISK:
        what = error.filename or "a file that was being written"
        says = f"holdfast {words[0]}: {what}: {error.strerror}"
        fix = "Make room, or work in a folder that you may write to; finished cells are kept."
        _say(str(ConfigError(says, fix=fix, code="E0144")))
        return 2
    return _crash()
