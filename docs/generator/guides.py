"""Pages with commands: what they print is what they printed as the site was made."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ENDED = (0, 1, 3)  # pass, a gate fails, undecided: the command did what was asked
_BLOCK = re.compile(r"```\{code-block\} python\n:caption: (\S+)\n\n(.*?)```", re.S)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.S)
_MOST = 40  # lines of what a command prints


def told(command: str, folder: Path) -> str:
    """What a command prints, run in a folder with this Python.

    Raises:
        RuntimeError: if it ends as no command of a guide may.
    """
    words = shlex.split(command)
    known = {"holdfast": [sys.executable, "-m", "holdfast"], "python": [sys.executable]}
    found = {"NO_COLOR": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    done = subprocess.run(
        [*known[words[0]], *words[1:]], cwd=folder, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | found,
    )  # fmt: skip
    if done.returncode not in ENDED:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout.replace(str(folder), ".")


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
                lines += out if len(out) <= _MOST else [*out[:_MOST], "..."]
        return "\n".join(["```console", *lines, "```"])

    return _CONSOLE.sub(printed, text)
