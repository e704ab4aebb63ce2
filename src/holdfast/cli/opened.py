"""Which files a block opens, as the interpreter tells it, and which of them are the user's."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

OURS = Path(__file__).parents[1]
SYSTEM = ("/proc/", "/sys/", "/dev/")
_LISTENING: list[set[str]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _LISTENING and isinstance(arguments[0], str | bytes):
        name = os.path.abspath(os.fsdecode(arguments[0]))
        for found in _LISTENING:
            found.add(name)


@cache
def _hooked() -> None:
    """Once in a process: a hook cannot be taken away again."""
    sys.addaudithook(_hear)


@contextmanager
def opened() -> Iterator[set[str]]:
    """Collect the names of all files that Python opens inside the block."""
    _hooked()
    found: set[str] = set()
    _LISTENING.append(found)
    try:
        yield found
    finally:
        _LISTENING.remove(found)


def outside(names: Iterable[str]) -> set[str]:
    """Of opened files and of the sources of all modules those that nobody installed."""
    from holdfast.cli.options import STORE

    modules = (getattr(m, "__file__", None) for m in list(sys.modules.values()))
    every = {*names, *(os.path.abspath(f) for f in modules if isinstance(f, str))}
    paths = (sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib", "platlib"))
    known = (*(f"{p}{os.sep}" for p in paths), f"{OURS}{os.sep}", *SYSTEM,
             f"{os.path.abspath(STORE)}{os.sep}", f"{sys.prefix}{os.sep}")  # fmt: skip
    mine = (f for f in every if not f.startswith(known) and not f.endswith(".pyc"))
    return {f for f in mine if os.path.isfile(f)}
