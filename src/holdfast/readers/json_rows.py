"""JSON becomes rows: texts, nested lists of numbers, or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.arrays import PAIRS
from holdfast.readers.json_lines import Record, records
from holdfast.readers.row_lists import arrays, table, texts
from holdfast.readers.tables import USUAL_TARGETS, target_of

TEXTS = ("text", "prompt", "sentence", "content", "question", "input")
ARRAYS = tuple(first for first, _ in PAIRS)


def read_json(path: Path, target: str | None = None, max_bytes: int = MAX_BYTES) -> Batches:
    """Rows of a file with one JSON object a line, or one list of objects, packed by gzip or not.

    Objects with a text (`{"text": ..., "label": ...}`) become texts, which need no label; those
    with a list of numbers named `x` (or `images`, `data`) become arrays; all others a table, whose
    values must be numbers and whose class is `target`.

    Raises:
        ConfigError: for a line that is no object, or has other keys than the first.
        ShapeError: for values that are no numbers, and lists of unequal shapes.
    """
    found = list(records(path, max_bytes))
    keys = list(found[0]) if found else []
    if not keys:
        raise ConfigError(
            f"{path.name} holds no values", fix='Write {"text": ..., "label": ...} lines.',
            code="E0137",
        )  # fmt: skip
    own = next((k for k in keys if k.lower() in USUAL_TARGETS), None) if target is None else target
    text = next((k for k in TEXTS if k in keys and isinstance(found[0][k], str)), None)
    if text is not None and text != own:
        if own is not None and own not in keys:
            target_of(keys, own, path.name)
        return texts([r[text] for r in found], _column(found, own), path.name)
    array = next((k for k in ARRAYS if k in keys and isinstance(found[0][k], list)), None)
    if array is not None and array != own:
        own = target_of(keys, own, path.name)
        return arrays([r[array] for r in found], _column(found, own), path.name)
    own = target_of(keys, target, path.name)
    columns = [k for k in keys if k != own]
    values = [[r[k] for k in columns] for r in found]
    return table(values, columns, [r[own] for r in found], path.name)


def _column(found: Sequence[Record], key: str | None) -> list[Any] | None:
    return None if key is None else [r[key] for r in found]
