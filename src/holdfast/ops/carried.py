"""Files that scikit-learn carries: reading them is a second faster than importing the library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def carried(*parts: str) -> Path | None:
    """A file below `sklearn/datasets`; None where this release keeps it elsewhere.

    Args:
        parts: folder and name, as `"data", "iris.csv"`.
    """
    spec = find_spec("sklearn")
    places = (spec.submodule_search_locations or []) if spec is not None else []
    files = (Path(place, "datasets", *parts) for place in places)
    return next((file for file in files if file.is_file()), None)
