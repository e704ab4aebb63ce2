"""The earlier run that an audit is held against: by its name, or from files brought along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.run.store import Store


def earlier(store: Store, name: str) -> tuple[dict[str, Any], Path] | None:
    """The results of an earlier run and the folder they lie in; None if none is named.

    Args:
        store: of this folder.
        name: `last`, a run's name or a part of it; or a folder with a `results.json`, or such a
            file, as a pipeline brings it along from another machine.

    Raises:
        ConfigError: if there is no such run, or the file is no document of an audit.
    """
    if not name:
        return None
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
            f"--against: {file} is no results.json of an audit",
            fix="Name a run (holdfast ls), or a folder of .holdfast/runs.", code="E0177",
        )  # fmt: skip
    return found, file.parent
