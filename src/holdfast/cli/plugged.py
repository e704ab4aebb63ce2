"""Plugins: installed packages that announce themselves, and files named by `--plugin`.

Each is a module that enters what it brings when it is imported. Nothing is imported for a help
text, and nothing twice.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError, HoldfastError

if TYPE_CHECKING:
    from holdfast.core.catalog import Entry

PREFIX = "holdfast."
_OURS = str(Path(__file__).parents[1])
_DONE: set[str] = set()


def plug(files: Sequence[str] | None = None) -> None:
    """Import all plugins: installed ones, those of `holdfast.toml`, and files.

    Args:
        files: as given by `--plugin`.

    Raises:
        ConfigError: E0167 if there is no such file, E0168 if it cannot be imported, E0169 if it
            takes a name of the catalogue, E0170 for what is entered in a wrong way.
    """
    if "installed" not in _DONE:
        found = entry_points()
        for group in sorted(g for g in found.groups if g.startswith(PREFIX)):
            for point in sorted(found.select(group=group), key=lambda p: (p.name, p.value)):
                _installed(point)
        _DONE.add("installed")
    for file in [*_configured(), *(files or ())]:
        _file(file)


def brought(entry: Entry) -> dict[str, str]:
    """Which plugin a method comes from, as plain data; empty for those of this package."""
    from holdfast.run.cells import module_of
    from holdfast.run.plugins import origin

    own = origin(entry.key, module_of(entry))
    return {} if own is None else {"origin": own.label}


def _configured() -> list[str]:
    """`plugins = ["file.py"]` in `holdfast.toml`."""
    own = words.project().get("plugins", [])
    if not isinstance(own, list) or not all(isinstance(file, str) for file in own):
        raise ConfigError(
            f"{words.CONFIG}: plugins must be a list of files, got {own!r}",
            fix='Write plugins = ["mine.py"] above the first table.', code="E0167",
        )  # fmt: skip
    return own


def _file(name: str) -> None:
    from holdfast.readers.entry import module

    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(
            f"--plugin: there is no Python file {name}",
            fix="Name a .py file: --plugin ./mine.py", code="E0167",
        )  # fmt: skip
    whole = f"{path.resolve()} {path.stat().st_mtime_ns}"
    if whole in _DONE:
        return
    trial = f"Repair it, then look: holdfast list --plugin {name}"
    _entered(path.name, trial, lambda: module(str(path)).__name__)
    _DONE.add(whole)


def _installed(point: EntryPoint) -> None:
    """A package that announces a module or a method under a group of ours."""
    from holdfast.core.catalog import entry_of, register
    from holdfast.core.kinds import KINDS
    from holdfast.run.plugins import SLOTS, extend

    dist = point.dist
    label = f"{dist.name} {dist.version}" if dist is not None else point.module
    groups = {f"{PREFIX}{kind}{'es' if kind.endswith('s') else 's'}": kind for kind in KINDS}
    groups |= {f"{PREFIX}{slot}s": slot for slot in SLOTS} | {f"{PREFIX}plugins": ""}
    if point.group not in groups:
        raise ConfigError(
            f"plugin {label}: there is no group {point.group!r}",
            fix=f"Groups: {', '.join(sorted(groups))}.", code="E0168",
        )  # fmt: skip

    def enter() -> str:
        thing, kind = point.load(), groups[point.group]
        if point.attr and kind in SLOTS:
            extend(kind, point.name)(thing)
        elif point.attr and kind and entry_of(thing) is None:
            register(kind, name=point.name)(thing)
        return point.module

    remove = f"Update it, or remove it: pip uninstall {dist.name if dist else point.module}"
    _entered(label, remove, enter)


def _entered(label: str, fix: str, enter: Callable[[], str]) -> None:
    """Import one plugin, and note what has come with it.

    The whole catalogue is there before, so that nothing can take a name that is in it.
    """
    from holdfast.core.catalog import entries
    from holdfast.run.plugins import note

    before = {e.key: e for e in entries()}
    try:
        module = enter()
    except Exception as error:
        raise _failed(label, fix, error, before) from error
    after = {e.key: e for e in entries()}
    taken = [key for key, entry in before.items() if after[key].thing is not entry.thing]
    for key in taken:
        _restore(before[key])
    if taken:
        raise _shadowed(label, taken[0])
    note(after.keys() - before.keys(), label, module)
    _readable(label)


def _restore(entry: Any) -> None:
    """Give a name back to the method that it belongs to."""
    from holdfast.core.catalog import register

    about = {"cites": entry.cites, "says": entry.says, "caution": entry.caution}
    register(entry.kind, name=entry.name, **about)(entry.thing)


def _shadowed(label: str, key: str) -> ConfigError:
    return ConfigError(
        f"plugin {label}: {key!r} is a name of the catalogue already",
        fix=f'Give it a name of its own: @register("{key.partition(":")[0]}", name="my-'
        f'{key.partition(":")[2]}")', code="E0169",
    )  # fmt: skip


def _readable(label: str) -> None:
    """Refuse readers and executors that nobody could reach, since their name is ours."""
    from holdfast.readers.built_in import BUILT_IN
    from holdfast.readers.published import families
    from holdfast.run.plugins import things

    ours = {"reader": {*BUILT_IN, *families(), "synthetic"}, "executor": {"here", "local"}}
    for slot, names in ours.items():
        for name in sorted(names & things(slot).keys()):
            raise ConfigError(
                f"plugin {label}: the {slot} {name!r} has a name of ours",
                fix=f'Give it a name of its own: extend("{slot}", "my-{name}")', code="E0169",
            )  # fmt: skip


def _failed(label: str, fix: str, error: Exception, before: dict[str, Any]) -> HoldfastError:
    """What went wrong while a plugin was imported, and in which line."""
    if isinstance(error, HoldfastError):
        for key in before:
            if f"name {key!r} is empty or taken" in error.says:
                return _shadowed(label, key)
        if error.code in ("E0169", "E0170"):
            return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and not f.filename.startswith(_OURS)]
    line, file = (own[-1].lineno, own[-1].filename) if own else (None, "")
    if isinstance(error, SyntaxError) and error.filename:
        line, file = error.lineno, error.filename
    where = f"line {line} of {Path(file).name}: " if line else ""
    said = error.says if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"
    return ConfigError(
        f"plugin {label} cannot be imported: {where}{said}", fix=fix, code="E0168"
    )  # fmt: skip
