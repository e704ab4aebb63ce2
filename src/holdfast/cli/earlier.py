"""The earlier run that an audit is held against: by its name, or from files brought along."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.records import Outcome
    from holdfast.run.paired import Paired
    from holdfast.run.store import Store


def earlier(store: Store, name: str) -> tuple[dict[str, Any], Path] | None:
    """The results of an earlier run and the folder they lie in; None if none is named."""
    return at(store, name) if name else None


def at(store: Store, name: str) -> tuple[dict[str, Any], Path]:
    """The results of a run and the folder they lie in.

    Args:
        store: of this folder.
        name: `last`, a run's name or a part of it; or a folder with a `results.json`, or such a
            file, as a pipeline brings it along from another machine.

    Raises:
        ConfigError: if there is no such run, or the file is no document of an audit.
    """
    place = Path(name)
    file = place / "results.json" if place.is_dir() else place
    if not file.is_file():
        run = store.find_run(name).id
        return store.results(run), store.folder(run)
    try:
        found = json.loads(file.read_text("utf-8"))
        known = isinstance(found, dict) and isinstance(found["outcomes"], list)
    except (OSError, ValueError, KeyError):
        known = False
    if not known:
        raise ConfigError(
            f"runs: {file} is no results.json of an audit",
            fix="Name a run (holdfast ls), or a folder of .holdfast/runs.", code="E0177",
        )  # fmt: skip
    return found, file.parent


def changed(
    store: Store, run: str, outcomes: Iterable[Outcome], before: tuple[dict[str, Any], Path] | None
) -> dict[str, Paired]:
    """Gather a run's numbers row by row into its folder, and pair them with an earlier run's.

    Args:
        store: of this folder.
        run: that was just asked.
        outcomes: of its checks.
        before: the earlier run, as given by `earlier`.

    Returns:
        The change of each number on the rows that both runs measured, by name.
    """
    from holdfast.run.paired import compared
    from holdfast.run.rows import FILE, Table, beside, keep, unpacked

    table: Table = {}
    for cell in (o.cell for o in outcomes if o.cell):
        table |= unpacked(beside(store.cells, cell))
    earlier_rows = {} if before is None else unpacked(before[1] / FILE)
    keep(store.folder(run) / FILE, table)
    return compared(earlier_rows, table) if earlier_rows else {}


def sides(pairs: Mapping[str, Paired]) -> dict[str, Any]:
    """Changes on shared rows for `run.json`, with p-values corrected for the whole table."""
    from holdfast.run.paired import sure

    p = sure(pairs)
    rows = {name: asdict(one) | {"p_corrected": p[name]} for name, one in pairs.items()}
    return {"paired": rows} if rows else {}
