"""Python entries, `module:function` or `file.py:function`: code that the user names to be run."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.core.errors import ConfigError


def is_entry(spec: str) -> bool:
    """Whether a text has the form of an entry: something before and an identifier after a colon."""
    place, colon, name = spec.rpartition(":")
    return bool(colon and place) and all(part.isidentifier() for part in name.split("."))


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let the files of a folder import each other while the block runs."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _from_file(path: Path) -> ModuleType:
    """The module of a file; its name depends on contents only, so that digests do."""
    name = f"entry_{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path.name} is not a Python file", fix="Name a .py file.", code="E0111")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def module(place: str) -> ModuleType:
    """What stands before the colon of an entry: a file, or a module by its name."""
    path = Path(place)
    if path.suffix == ".py":
        if not path.is_file():
            raise ConfigError(
                f"there is no file {place}", fix="Check the part before the colon.", code="E0111"
            )
        with importable(path.resolve().parent):
            return _from_file(path.resolve())
    try:
        with importable(Path.cwd()):
            return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not place.startswith(error.name):
            raise
        raise ConfigError(
            f"there is no module {place!r}",
            fix=f"For a file write its name: {place.rpartition('.')[2]}.py:function",
            code="E0111",
        ) from None


def load_entry(spec: str) -> Any:
    """What an entry names, not yet called.

    Raises:
        ConfigError: if the module, the file or the name is not there, or importing it fails.
    """
    place, _, name = spec.rpartition(":")
    try:
        found = module(place)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"importing {place} failed: {type(error).__name__}: {error}",
            fix=f"Make it work in Python first: import {Path(place).stem}",
            code="E0112",
        ) from error
    thing: Any = found
    for part in name.split("."):
        if not hasattr(thing, part):
            near = get_close_matches(part, [n for n in dir(thing) if not n.startswith("_")], 3, 0.4)
            hint = f"Did you mean {', '.join(near)}?" if near else "Check the part after the colon."
            raise ConfigError(f"{place} has no {part!r}", fix=hint, code="E0113")
        thing = getattr(thing, part)
    return thing


def called(thing: Any, spec: str, **values: Any) -> Any:
    """The result of calling what an entry names, with the folder of its file importable."""
    place = Path(spec.rpartition(":")[0])
    folder = place.resolve().parent if place.suffix == ".py" else Path.cwd()
    try:
        with importable(folder):
            return thing(**values)
    except Exception as error:
        raise ConfigError(
            f"calling {spec} failed: {type(error).__name__}: {error}",
            fix="The function must work without arguments.",
            code="E0114",
        ) from error
