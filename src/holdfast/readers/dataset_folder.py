"""Folders of the library `datasets`: `dataset_info.json` beside Parquet or Arrow files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.readers.archive import MAX_BYTES, head
from holdfast.readers.dataset_rows import read_rows
from holdfast.readers.dataset_shards import ARROW, Arrow, Parquet, Shards
from holdfast.readers.images import SPLITS

INFO, DICT = "dataset_info.json", "dataset_dict.json"
MOST = 16 << 20  # bytes of a description
_SPLIT = re.compile(rf"(?:^|[-_.])({'|'.join(SPLITS)}|dev)(?=[-_.]|$)")


def is_dataset(root: Path) -> bool:
    """Whether a folder holds a data set as `datasets` saves it, with or without splits."""
    places = (root, *(root / split for split in SPLITS))
    return (root / DICT).is_file() or any((p / INFO).is_file() for p in places)


def read_dataset(root: Path, target: str | None = None, max_bytes: int = MAX_BYTES) -> Batches:
    """Rows of a data set folder: pictures, texts, arrays of numbers, or a table.

    Of several splits the first of test, val, validation and train that is there is read. The
    class is the column `target`, or else the one that the description calls a class label.

    Raises:
        ConfigError: if there is no such file, or it is unclear which column is which.
        MissingExtra: for Arrow files without pyarrow.
        UntrustedFile: for damaged files, and for more than `max_bytes`.
    """
    folder = _split_folder(root)
    files = _files(folder, root.name)
    features = _features(folder)
    return read_rows(_opened(files, max_bytes), features, target, root.name, max_bytes)


def read_arrow(path: Path, target: str | None = None, max_bytes: int = MAX_BYTES) -> Batches:
    """Rows of one Arrow file, read as a data set without a description."""
    return read_rows(Arrow([path]), {}, target, path.name, max_bytes)


def _opened(files: list[Path], max_bytes: int) -> Shards:
    return Arrow(files) if head(files[0], 6).startswith(ARROW) else Parquet(files, max_bytes)


def _split_folder(root: Path) -> Path:
    """The folder of the split that is read; the root itself where it has no such folders."""
    if (root / INFO).is_file():
        return root
    inside = (root / split for split in SPLITS)
    return next((p for p in inside if (p / INFO).is_file()), root)


def _files(folder: Path, name: str) -> list[Path]:
    """Files of one kind and one split, sorted; links are not followed out of the folder."""
    found = sorted(p for p in folder.rglob("*") if p.suffix in (".parquet", ".arrow"))
    inside = folder.resolve()
    found = [p for p in found if p.is_file() and p.resolve().is_relative_to(inside)]
    found = [p for p in found if not p.name.startswith(("cache-", "."))]
    splits = {p: _split_of(p.relative_to(folder)) for p in found}
    wanted = next((s for s in (*SPLITS, "dev") if s in splits.values()), "")
    found = [p for p in found if splits[p] == wanted]
    kinds = {p.suffix for p in found}
    if len(kinds) != 1:
        raise ConfigError(
            f"{name} holds {'Parquet and Arrow files' if kinds else 'no Parquet or Arrow files'}",
            fix="Save the data set anew: ds.save_to_disk(folder), or ds.to_parquet(file).",
            code="E0162",
        )
    return found


def _split_of(path: Path) -> str:
    """The split that a file belongs to by its name, or by that of its folder; empty if neither."""
    names = (path.stem, *(part for part in path.parts[:-1]))
    return next((m.group(1) for n in names if (m := _SPLIT.search(n))), "")


def _features(folder: Path) -> Mapping[str, Any]:
    """What the description says about each column, by name; empty where it says nothing."""
    path = folder / INFO
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MOST:
            raise ValueError("it is too large")
        found = json.loads(path.read_text("utf-8"))
        features = found.get("features") or {}
        return {str(k): v for k, v in features.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{INFO} is no description of a data set: {str(error)[:200]}",
            fix="Save the data set again.",
            code="E0162",
        ) from None
