"""Columns of a data set become rows: which one is the input, which the class, what they hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.readers.archive import checked_size
from holdfast.readers.dataset_pictures import pictures
from holdfast.readers.dataset_shards import Shards
from holdfast.readers.json_rows import TEXTS
from holdfast.readers.row_lists import arrays, table, texts
from holdfast.readers.tables import USUAL_TARGETS, target_of

_TEXT = ("VARCHAR", "string", "large_string")
_BYTE = ("UTINYINT", "uint8", "list<item: uint8", "list<element: uint8")
_INPUTS = (*TEXTS, "image", "x", "pixels")


def read_rows(
    shards: Shards, features: Mapping[str, Any], target: str | None, name: str, max_bytes: int
) -> Batches:
    """The rows of some files, as what their columns hold.

    Pictures come first, then texts, then lists of numbers, then a table of numbers.

    Args:
        shards: the files.
        features: what the description of the data set says about each column.
        target: the column of the class.
        name: of the data set.
        max_bytes: of everything that is unpacked.
    """
    own = _target(shards.names, features, target, name)
    rest = [c for c in shards.names if c != own]
    kinds = {c: _kind(shards.names[c], features.get(c)) for c in rest}
    kind = next((k for k in ("picture", "text", "list") if k in kinds.values()), "number")
    chosen = [c for c in rest if kinds[c] == kind]
    if kind in ("picture", "text", "list") and len(chosen) > 1:
        usual = [c for c in chosen if c.lower() in _INPUTS]
        if len(usual) != 1:
            raise ConfigError(
                f"{name}: which column is the input? {', '.join(chosen[:6])} hold {kind}s",
                fix="Leave the others out: ds.remove_columns([...]), and save it again.",
                code="E0161",
            )
        chosen = usual
    if not chosen:
        raise ShapeError(f"{name} has no column but {own!r}", fix="Add inputs.", code="E0206")
    columns = [*chosen, *([own] if own is not None else [])]
    values, labels = _columns(shards, columns, own is not None, name, max_bytes)
    label = features.get(own or "")
    labels = _unlabelled(labels, label)
    if kind == "number":
        return _named(table(values, chosen, labels or [], name), label, name)
    first = [v for (v,) in values]
    if kind == "text":
        return _named(texts(first, labels, name), label, name)
    if kind == "picture":
        return _named(pictures(first, labels, name, max_bytes), label, name)
    dtype = _dtype(shards.names[chosen[0]], features.get(chosen[0]))
    return _named(arrays(first, labels, name, dtype), label, name)


def _target(
    names: Mapping[str, str], features: Mapping[str, Any], target: str | None, name: str
) -> str | None:
    """The column of the class; None for texts that have none."""
    if target is not None:
        return target_of(list(names), target, name)
    labels = [c for c in names if _type(features.get(c)) == "ClassLabel"]
    labels = labels or [c for c in names if c.lower() in USUAL_TARGETS]
    if len(labels) == 1:
        return labels[0]
    if not labels and any(kind in _TEXT for kind in names.values()):
        return None
    return target_of(list(names), None, name)


def _type(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, Mapping) else ""


def _kind(stored: str, feature: Any) -> str:
    """`picture`, `text`, `list` or `number`, by the description, else by how it is stored."""
    lowered = stored.lower()
    if _type(feature) == "Image" or (
        "bytes" in lowered and lowered.startswith("struct") and "path" in lowered
    ):
        return "picture"
    if stored in _TEXT:
        return "text"
    listed = "[" in stored or "list" in lowered or lowered.startswith("extension")
    return "list" if listed else "number"


def _columns(
    shards: Shards, columns: Sequence[str], labelled: bool, name: str, max_bytes: int
) -> tuple[list[tuple[Any, ...]], list[Any] | None]:
    """Values row by row, and labels; counted as they come, because files may be packed well."""
    values: list[tuple[Any, ...]] = []
    labels: list[Any] = []
    size, inputs = 0, len(columns) - labelled
    for row in shards.rows(columns):
        size += sum(map(_size, row))
        checked_size(name, size, size, max_bytes, whole=False)
        values.append(row[:inputs])
        labels += [row[-1]] if labelled else []
    return values, labels if labelled else None


def _size(value: Any) -> int:
    """Bytes that a value takes, roughly."""
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        nested = bool(value) and isinstance(value[0], list | tuple)
        return sum(map(_size, value)) if nested else 8 * len(value)
    return sys.getsizeof(value)


def _unlabelled(labels: list[Any] | None, feature: Any) -> list[Any] | None:
    """Labels with None where a class label says -1, which means that there is none."""
    if labels is None or _type(feature) != "ClassLabel":
        return labels
    return [None if v == -1 else v for v in labels]


def _named(found: Batches, feature: Any, name: str) -> Batches:
    """The rows with the names of the classes, where the description has them."""
    names = feature.get("names") if _type(feature) == "ClassLabel" else None
    if not isinstance(names, list) or not all(c.isdigit() for c in found.classes):
        return found
    if len(found.classes) > len(names):
        raise ShapeError(
            f"{name}: labels go up to {len(found.classes) - 1}, but {len(names)} classes are named",
            fix="Save the data set again.",
            code="E0204",
        )
    return replace(found, classes=tuple(map(str, names)))


def _dtype(stored: str, feature: Any) -> Any:
    """Bytes stay bytes: pictures in them are divided by 255."""
    told = feature.get("dtype") if isinstance(feature, Mapping) else None
    return np.uint8 if told == "uint8" or stored.strip("[]").startswith(_BYTE) else None
