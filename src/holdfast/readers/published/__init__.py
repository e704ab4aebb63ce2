"""Published benchmarks in the folders and files in which they were released; nothing is fetched.

`read_data("imagenet-c:FOLDER")`, or `--data imagenet-c:FOLDER:fog/3` for some of the parts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from holdfast.core.errors import Unsupported
from holdfast.readers.published.release import Asked, Family, Release, chosen, missing

__all__ = ["PYTHON_ONLY", "Asked", "Family", "Release", "families", "released"]

# What is no set of labelled rows, and the function that reads it.
PYTHON_ONLY = {
    "coco-o": "holdfast.readers.coco.read_coco_o",
    "noisebench": "holdfast.readers.published.noisebench.read_noisebench",
    "rewardbench": "holdfast.readers.published.rewardbench.read_rewardbench",
}


@cache
def families() -> dict[str, Family]:
    """All benchmarks that `--data` reads, by the word before the colon."""
    from holdfast.readers.published import arrays, films, folders, medmnist, wilds

    return arrays.FAMILIES | films.FAMILIES | folders.FAMILIES | medmnist.FAMILIES | wilds.FAMILIES


def released(spec: str) -> Release | None:
    """The benchmark that a text names, `FAMILY:FOLDER` or `FAMILY:FOLDER:PARTS`; else None.

    Args:
        spec: parts are names or beginnings of names with commas between, `fog,snow/3`.

    Raises:
        ConfigError: if the folder or a part is not there; it says where they are published.
        Unsupported: for a benchmark that is no set of labelled rows.
    """
    name, colon, rest = spec.partition(":")
    if not colon or name not in (*families(), *PYTHON_ONLY):
        return None
    if name in PYTHON_ONLY:
        module, _, function = PYTHON_ONLY[name].rpartition(".")
        raise Unsupported(
            f"{name} is no set of labelled rows for a classifier",
            fix=f"Read it in Python: from {module} import {function}",
        )
    family = families()[name]
    root, parts = Path(rest), ""
    if not root.exists():
        before, _, parts = rest.rpartition(":")
        root = Path(before or rest)
        if not root.exists():
            raise missing(family, name, Path(rest), ())
    return chosen(family, name, root, parts)
