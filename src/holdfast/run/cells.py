"""Cells: one check on one subject, found again by the digest of all it depends on."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from holdfast.core.catalog import Entry, entries, entry_of, find
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.core.kinds import KINDS, Attack, Check
from holdfast.core.quiet import modules_of
from holdfast.core.records import Outcome, Subject
from holdfast.run.restored import outcome_of
from holdfast.run.source import imported, named, source_digest
from holdfast.run.stages import Times
from holdfast.run.writing import canonical, plain, write

FORMAT = 1
_ELSEWHERE = ("name", "model_name", "data_name", "path", "paths", "file", "files", "command")


def _mentioned(value: Any) -> Iterator[Entry]:
    """Catalogue entries inside a setting: by name, as objects, inside lists and Later."""
    if isinstance(value, Later):
        value = value.name
    if isinstance(value, str):
        if value.partition(":")[0] in KINDS and ":" in value and "/" not in value:
            try:
                yield find(value)
            except ConfigError:  # a threat such as linf:0.1, not a name
                return
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _mentioned(item)
    elif value is not None and not isinstance(value, int | float | bool):
        known = entry_of(value) or entry_of(type(value))
        if known is not None:
            yield known
        if is_dataclass(value) and not isinstance(value, type):
            for f in fields(value):
                yield from _mentioned(getattr(value, f.name))


@cache
def _catalogue() -> frozenset[str]:
    return frozenset(e.key for e in entries())


def module_of(entry: Entry) -> str:
    """The module that a method stands in."""
    thing = entry.thing
    return str(getattr(thing, "__module__", None) or type(thing).__module__)


def parts(check: Check | Attack) -> tuple[Entry, ...]:
    """Every method that a check or an attack can reach.

    Through its settings and through names in its source, which are followed through the modules
    that each method imports, up to the vocabulary.
    """
    found: dict[str, Entry] = {}
    left = list(_mentioned(check))
    seen: set[str] = set()
    modules = [type(check).__module__]
    while left or modules:
        if left:
            entry = left.pop()
            if entry.key not in found:
                found[entry.key] = entry
                modules.append(module_of(entry))
                if not isinstance(entry.thing, type):
                    left += list(_mentioned(entry.thing))
            continue
        behind = modules.pop()
        for name in imported(behind):
            if name not in seen and not name.startswith("holdfast.core"):
                seen.add(name)
                left += [find(key) for key in named(name) if key in _catalogue()]
    return tuple(found[k] for k in sorted(found))


def _text(thing: Any) -> str:
    """The file in which a class or function stands: what it calls usually stands there too."""
    bodies = [thing] if inspect.isfunction(thing) else vars(thing).values()
    files = [b.__code__.co_filename for b in bodies if inspect.isfunction(b)]
    try:
        return Path(files[0]).read_text("utf-8")
    except (OSError, IndexError, UnicodeDecodeError):  # typed at a prompt, or not in Python
        return f"{thing.__module__}.{thing.__qualname__}"


def code_of(model: Any) -> list[str]:
    """Sources of the classes and functions that make up a model, where they can be read.

    Of the user's the files in which they stand; of ours, such as the network of an ONNX file,
    the digest of all modules behind them.
    """
    things: list[Any] = [type(m) for top in modules_of(model) for m in top.modules()]
    if model is not None and not isinstance(model, torch.nn.Module):
        things.append(model if inspect.isfunction(model) else type(model))
    places = {str(t.__module__) for t in things}
    ours = [source_digest(m) for m in sorted(places) if m.startswith("holdfast.")]
    theirs = ("torch.", "holdfast.", "builtins", "functools")
    return sorted({_text(t) for t in things if not str(t.__module__).startswith(theirs)}) + ours


def subject_key(subject: Subject) -> str:
    """Digest of weights, architecture, mode, data, threats and everything else a check may see.

    Names and paths are left out: the same weights under another name are the same subject.
    """
    about = {k: v for k, v in subject.about.items() if k not in _ELSEWHERE}
    model = subject.model
    modes = [m.training for top in modules_of(model) for m in top.modules()]
    devices = sorted({str(p.device) for top in modules_of(model) for p in top.parameters()})
    return digest(
        [
            model, code_of(model), modes, devices, subject.batches, subject.trusted, subject.writer,
            subject.env, dict(subject.others), subject.make, list(subject.threats), subject.seed,
            plain(about),
        ]
    )  # fmt: skip


def cell_key(check: Check, subject: str) -> str:
    """Identity of a cell: settings, ingredients, sources, subject, torch, dtype.

    Args:
        check: with its settings.
        subject: as given by `subject_key`.
    """
    modules = {type(check).__module__, *map(module_of, parts(check))}
    sources = {name: source_digest(name) for name in sorted(modules)}
    return digest(
        [FORMAT, check, sources, subject, torch.__version__, str(torch.get_default_dtype())]
    )


class Cells:
    """Finished cells on disk, one file each, named by their key.

    Args:
        root: the folder; made when the first cell is kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _file(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.json"

    def get(self, key: str) -> Outcome | None:
        """The outcome kept under a key; None without one, or if the file was damaged."""
        try:
            row = json.loads(self._file(key).read_text("utf-8"))
            body = row["outcome"]
            if row["sha256"] != sha256(canonical(body).encode()).hexdigest():
                return None
            return replace(outcome_of(body), cell=key)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def times(self, key: str) -> Times:
        """What the stages of its ledgers took when the cell was made; empty if nobody knows."""
        try:
            rows = json.loads(self._file(key).read_text("utf-8"))["times"]
            return {n: {s: float(t) for s, t in stages.items()} for n, stages in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def put(self, outcome: Outcome, times: Times | None = None) -> None:
        """Keep an outcome under its key; it is on disk when this returns.

        Args:
            outcome: findings, error or reason.
            times: what the stages of its ledgers took.
        """
        body = plain(outcome)
        seal = sha256(canonical(body).encode()).hexdigest()
        row = {"outcome": body, "sha256": seal} | ({"times": times} if times else {})
        write(self._file(outcome.cell), canonical(row))
