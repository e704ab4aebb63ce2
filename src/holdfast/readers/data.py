"""Any data: a built-in name, a file, a folder or a Python entry becomes rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from holdfast.core.catalog import build, entries
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.arrays import from_pair
from holdfast.readers.built_in import BUILT_IN
from holdfast.readers.data_file import read_file
from holdfast.readers.dataset_folder import is_dataset, read_dataset
from holdfast.readers.entry import called, is_entry, load_entry
from holdfast.readers.idx import idx_in_folder, read_idx
from holdfast.readers.images import read_folder
from holdfast.readers.origin import marked
from holdfast.readers.published import Asked, released
from holdfast.readers.split import limited
from holdfast.run.plugins import asked_for

SYNTHETIC_ROWS = 1000


def _synthetic(spec: str, seed: int) -> Batches:
    """`synthetic:NAME`, behind it the number of rows and settings, as `:500:noise=0.1`."""
    name, *words = spec.split(":")
    count = words.pop(0) if words and "=" not in words[0] else str(SYNTHETIC_ROWS)
    if not count.isdigit():
        raise ConfigError(
            f"synthetic:{spec}: {count!r} is no number of rows",
            fix=f"Write synthetic:{name}:1000.",
            code="E0131",
        )
    known = [e.name for e in entries("source")]
    if name not in known:
        raise ConfigError(
            f"there is no synthetic source {name!r}", fix=f"Choose of {', '.join(known)}.",
            code="E0131",
        )  # fmt: skip
    values: dict[str, str] = {}
    for word in words:
        key, sign, values[key] = word.partition("=")
        if not sign:
            raise ConfigError(
                f"synthetic:{spec}: {word!r} is no setting",
                fix=f"Write synthetic:{name}:1000:NAME=VALUE; `holdfast show source:{name}`.",
                code="E0131",
            )
    rows = int(count)
    made: Batches = build(f"source:{name}", **values)(rows, Dice.of(rows, seed, "source"))
    table = isinstance(made.x, torch.Tensor) and made.x.dim() == 2  # in [0, 1]: stays as it is
    own = ":".join([f"synthetic:{name}", *words])
    return marked(made, name=own, form="tensor" if table else "images", inner=made.truth)


def _entry(spec: str) -> Batches:
    thing = load_entry(spec)
    found: Any = called(thing, spec) if callable(thing) else thing
    return _given(found, spec)


def _given(found: Any, spec: str) -> Batches:
    """Rows that code of the user has made."""
    name = Path(spec.rpartition(":")[0]).name + ":" + spec.rpartition(":")[2]
    if isinstance(found, Batches):
        return marked(found, name=name)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ConfigError(
            f"{spec} gave {type(found).__name__}, not a pair (x, y)",
            fix="Return inputs and labels, rows first.",
            code="E0115",
        )
    return from_pair(found[0], found[1], name)


def _folder(
    path: Path, target: str | None, limit: int | None, seed: int, max_bytes: int
) -> Batches:
    if is_dataset(path):
        return read_dataset(path.resolve(), target, max_bytes)
    images = idx_in_folder(path)
    if images is not None:
        return marked(read_idx(images, max_bytes), name=path.resolve().name)
    return read_folder(path.resolve(), limit=limit, seed=seed, max_bytes=max_bytes)


def _any(spec: str, target: str | None, limit: int | None, seed: int, max_bytes: int) -> Batches:
    plugin = asked_for("reader", spec)
    if spec in BUILT_IN or plugin is not None:
        return BUILT_IN[spec]() if plugin is None else _given(plugin(), spec)
    if spec.startswith("synthetic:"):
        return _synthetic(spec.removeprefix("synthetic:"), seed)
    benchmark, path = released(spec), Path(spec)
    if benchmark is not None:
        return benchmark.read(Asked(limit, seed, max_bytes, target))
    if path.is_dir():
        return _folder(path, target, limit, seed, max_bytes)
    if path.is_file() or not is_entry(spec):
        return read_file(path, target, max_bytes)
    return _entry(spec)


def read_data(
    spec: Any,
    *,
    target: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Batches:
    """Rows from a built-in name, a file, a folder, a Python entry or a pair `(x, y)`.

    Files are recognised by their contents and never run code. Images lie in [0, 1] if the file
    holds bytes; other numbers stay as they are. `Batches.truth` is the `Origin` of the rows.

    Args:
        spec: `digits`, `breast-cancer`, `synthetic:NAME[:ROWS][:SETTING=VALUE]...`, a published
            benchmark such as `imagenet-c:FOLDER` (docs/data.md), a folder `root/class/x.png` or
            of idx files, `.npz`, safetensors, idx(.gz), CSV, TSV, Parquet, Arrow, JSON lines,
            `.txt` with a prompt a line, a folder with `dataset_info.json`, `module:function` or
            `file.py:function` returning `(x, y)` or `Batches`; in Python also these themselves.
        target: the column of the class in a table, or the tensor with the labels.
        limit: at most so many rows, a stratified sample that is the same each time.
        seed: of the sample and of synthetic rows.
        max_bytes: nothing larger is unpacked.

    Raises:
        ConfigError, ShapeError: what is wrong and how to repair it.
        UntrustedFile: for files that would run code or are not what they claim to be.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit must be at least 1, got {limit}", fix="--limit 1000")
    if isinstance(spec, Batches):
        found = spec
    elif isinstance(spec, tuple | list) and len(spec) == 2:
        found = from_pair(spec[0], spec[1], "data")
    else:
        found = _any(str(spec), target, limit, seed, max_bytes)
    if not len(found):
        raise ConfigError("the data have no rows", fix="Check the file.", code="E0137")
    return limited(found, limit, seed) if limit is not None else found
