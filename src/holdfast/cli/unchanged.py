"""An audit of which nothing has changed: its verdict stands, and torch is not even imported.

A finished run leaves `unchanged.json`: a seal over all that its answers depend on. That are the
options, the bytes of model, data and settings, of every file that was opened while they were read
and of every module of the user's, this package, the packages beside it, and the environment. The
same command in a new process compares the seal. Where it differs, or where what was read cannot be
sealed (Python entries as model or data, addresses, plugins, accepted risks, which end on a day),
the audit goes its usual way, in which finished cells are looked up one by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli import options as words
from holdfast.cli.opened import outside
from holdfast.run.decisions import CUT, STOPPED

if TYPE_CHECKING:
    from holdfast.cli.conduct import Outputs
    from holdfast.core.records import Outcome
    from holdfast.run.ledger import RunRow
    from holdfast.run.store import Store

NAME = "unchanged.json"
OURS = Path(__file__).parents[1]
WHOLE = 256 << 20  # bytes up to which a file is read; beyond, size and time of change count
ENVIRONMENT = ("HOLDFAST_", "OMP_", "MKL_", "CUDA_", "PYTORCH_", "TORCH_")
BUILT_IN = ("digits", "breast-cancer")
PATHS = tuple(sys.path)  # as the process began: what is imported later may add places of its own


def sealable(model: str, chosen: Mapping[str, Any]) -> bool:
    """Whether everything that the audit reads are files, and nothing asks for the day."""
    own = words.project()
    if own.get("accepted") or own.get("plugins") or chosen.get("plugin"):
        return False
    data = [chosen["data"], *filter(None, [chosen.get("reference")])]
    # Not by how it begins: `digits.py:rows` is a program.
    known = all(n in BUILT_IN or n.startswith("synthetic:") or Path(n).exists() for n in data)
    return Path(model).is_file() and known and not chosen.get("allow_network")


def seal(model: str, chosen: Mapping[str, Any], files: Iterable[str]) -> str:
    """The digest of everything that an audit depends on.

    Args:
        model: as it was named.
        chosen: its options.
        files: opened while model and data were read, and sources of modules.
    """
    known = hashlib.sha256(json.dumps([model, chosen], sort_keys=True).encode())
    told = [model, *(str(chosen[k]) for k in ("data", "reference", "profile") if chosen.get(k))]
    own = [words.CONFIG, "pyproject.toml", *told]
    for line in (*_surroundings(), *(f"{f} {_content(Path(f))}" for f in [*own, *sorted(files)])):
        known.update(line.encode() + b"\n")
    return known.hexdigest()


def _surroundings() -> Iterator[str]:
    """This package, the packages beside it, the interpreter and the environment."""
    yield f"{sys.version} {sys.executable} {platform.platform()} {os.cpu_count()}"
    yield from (f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(ENVIRONMENT))
    for file in sorted(p for p in OURS.rglob("*") if p.suffix != ".pyc" and p.is_file()):
        yield f"{file.relative_to(OURS)} {_touched(file)}"
    for place in sorted({str(Path(p)) for p in PATHS if p}):
        beside = (
            p for p in Path(place).glob("*") if p.suffix in (".dist-info", ".egg-info", ".pth")
        )
        yield from (f"{p.name} {_touched(p)}" for p in sorted(beside))


def _touched(file: Path) -> str:
    told = file.stat()
    return f"{told.st_size} {told.st_mtime_ns}"


def _content(file: Path) -> str:
    """What a file holds, or how the files of a folder look from outside."""
    if file.is_dir():
        every = sorted(p for p in file.rglob("*") if p.is_file())
        text = "\n".join(f"{p.relative_to(file)} {_touched(p)}" for p in every)
        return hashlib.sha256(text.encode()).hexdigest()
    if not file.is_file():
        return "absent"
    if file.stat().st_size > WHOLE:
        return _touched(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class Seal:
    """Taken when everything is read, and kept if it is still the same when the run is finished.

    Args:
        model: as it was named.
        chosen: the options.
        opened: files that were opened while model and data were read.
    """

    model: str
    chosen: Mapping[str, Any]
    opened: Collection[str]
    taken: tuple[list[str], str] = ([], "")

    def __post_init__(self) -> None:
        self.taken = self._now()

    def _now(self) -> tuple[list[str], str]:
        files = sorted(outside(self.opened))
        return files, seal(self.model, self.chosen, files)

    def keep(self, store: Store, run: str, outcomes: Iterable[Outcome]) -> None:
        """Leave the seal with a run of which nothing would be tried again."""
        again = (STOPPED, CUT)
        if any(o.error or o.skipped.startswith(again) for o in outcomes):
            return
        if self._now() == self.taken:
            store.keep(run, NAME, dict(zip(("files", "seal"), self.taken, strict=True)))


def before(store: Store, model: str, chosen: Mapping[str, Any]) -> RunRow | None:
    """The finished run whose seal is that of this audit; None if there is none."""
    options = {"model": model} | dict(chosen)
    for row in reversed(store.ledger.runs()):
        if row.options != options or row.state != "finished":
            continue
        try:
            told = json.loads((store.folder(row.id) / NAME).read_text("utf-8"))
            same = told["seal"] == seal(model, chosen, told["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return row if same else None
    return None


def repeated(model: str, chosen: Mapping[str, Any], outputs: Outputs, begun: float) -> int | None:
    """Say an unchanged audit's verdict again, with the files asked for; None if it must be asked.

    Returns:
        The exit code.
    """
    from holdfast.cli.facts import now
    from holdfast.cli.handed import asked_for, present
    from holdfast.run.store import Store

    if not Path(words.STORE).is_dir() or not sealable(model, chosen):
        return None
    store = Store(words.STORE)
    row = before(store, model, chosen)
    if row is None:
        return None
    about = store.facts(row.id)
    results = store.results(row.id) | {k: about[k] for k in ("command", "actions") if k in about}
    place = store.folder(row.id) / "report.html"
    if not place.is_file() or row.code is None:
        return None
    sys.stderr.write("  nothing has changed since that run: its verdict stands\n")
    markdown = (store.folder(row.id) / "summary.md").read_text("utf-8")
    asked_for(outputs, results, markdown)
    store.ledger.open_run(row.id, row.identity, row.model, row.suite, row.started, row.options)
    store.ledger.close_run(row.id, row.finished or now(), "finished", str(row.word), row.code)
    present(outputs, results, time.monotonic() - begun, place)
    return 0 if outputs.exit_zero else row.code
