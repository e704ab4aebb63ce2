"""Pages with commands: what they print is what they printed as the site was made."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ENDED = (0, 1, 3)  # pass, a gate fails, undecided: the command did what was asked
_BLOCK = re.compile(r"```\{code-block\} python\n:caption: (\S+)\n\n(.*?)```", re.S)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.S)
_PLAIN = {"NO_COLOR": "1", "COLUMNS": "100"}
_MOST = 40  # lines of what a command prints


def told(command: str, folder: Path) -> str:
    """What a command prints, run in a folder with this Python.

    Raises:
        RuntimeError: if it ends as no command of a guide may.
    """
    words = shlex.split(command)
    code, out = (_holdfast if words[0] == "holdfast" else _python)(words[1:], folder)
    if code not in ENDED:
        raise RuntimeError(f"{command} ended with {code}:\n{out}")
    return out.replace(str(folder), ".")


def _holdfast(words: list[str], folder: Path) -> tuple[int, str]:
    """A command of ours, within this process: torch is loaded already."""
    from holdfast.cli.front import run

    told, kept = io.StringIO(), {k: os.environ.get(k) for k in _PLAIN}
    os.environ.update(_PLAIN)
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(told),
            contextlib.redirect_stderr(told),
        ):
            return run(words), told.getvalue()
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _python(words: list[str], folder: Path) -> tuple[int, str]:
    """A script of the reader's own."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, text=True, check=False, env=os.environ | _PLAIN,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def executed(text: str, folder: Path) -> str:
    """A guide whose files are written and whose commands are run, with what they print."""
    for name, content in _BLOCK.findall(text):
        (folder / name).write_text(content, "utf-8")

    def printed(block: re.Match[str]) -> str:
        lines: list[str] = []
        for line in block[1].splitlines():
            lines.append(line)
            if line.startswith("$ "):
                out = told(line.removeprefix("$ "), folder).rstrip().splitlines()
                out = [text for text in out if "   eta " not in text]  # of slow machines only
                lines += out if len(out) <= _MOST else [*out[:_MOST], "..."]
        return "\n".join(["```console", *lines, "```"])

    return _CONSOLE.sub(printed, text)
