"""Folders of pictures with a table of labels, splits and groups, as WILDS releases them.

The columns of Camelyon17 and Waterbirds are known. In any other `metadata.csv` the label is `y`
(or `--target`), the split is `split` (0, 1, 2 for train, val, test, or a name), the file is the
first column of `FILES`, and the group is told by all columns of `GROUPS` together.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.arrays import as_labels
from holdfast.readers.images import read_pictures
from holdfast.readers.origin import Origin
from holdfast.readers.published.release import Asked, Family, Read, named, too_large

TABLE = "metadata.csv"
FILES = ("img_filename", "filename", "file", "path")
GROUPS = ("group", "domain", "place", "attribute", "a", "hospital", "center", "region")
SPLITS = {"0": "train", "1": "val", "2": "test"}

Line = Mapping[str, str]


@dataclass(frozen=True)
class Form:
    """Which column means what.

    Args:
        y: label.
        groups: columns whose values together are the group.
        file: name of the file, with columns in braces.
        splits: name of each split.
        centers: hospital -> split, where that is told by the hospital.
    """

    y: str
    groups: tuple[str, ...]
    file: str
    splits: Mapping[str, str]
    centers: Mapping[str, str]

    def split(self, line: Line) -> str:
        """The split of a row, by name."""
        own = self.splits.get(line["split"], named(line["split"]))
        return self.centers.get(line.get("center", ""), own)


_NODE = "patient_{patient}_node_{node}"
CAMELYON = Form(
    "tumor", ("slide",), f"patches/{_NODE}/patch_{_NODE}_x_{{x_coord}}_y_{{y_coord}}.png",
    {"0": "train", "1": "id-val"}, {"1": "val", "2": "test"},
)  # fmt: skip


def _form(columns: list[str], target: str | None, table: Path) -> Form:
    """What the columns of a table mean."""
    if {"patient", "node", "x_coord", "y_coord", "tumor", "slide", "center"} <= set(columns):
        return CAMELYON
    file = next((c for c in FILES if c in columns), None)
    y = target or "y"
    lost = [c for c in (y, "split", file or FILES[0]) if c not in columns]
    if lost:
        raise ConfigError(
            f"{table} has no column {lost[0]}; it has {', '.join(columns[:12])}",
            fix="It needs split, a file name and y (another label: --target COLUMN).",
            code="E0132",
        )
    groups = tuple(c for c in GROUPS if c in columns and c != y)
    return Form(y, groups, f"{{{file}}}", SPLITS, {})


def _lines(table: Path) -> Iterator[Line]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="more")
            yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise UntrustedFile(
            f"{table} cannot be read as a table: {error}", fix="Fetch it again.", code="E0414"
        ) from None


def _columns(table: Path) -> list[str]:
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        return next(csv.reader(file), [])


def _inside(root: Path, name: str) -> Path:
    """A file of the folder; a table may not name files elsewhere."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise UntrustedFile(
            f"{TABLE} names a file outside its folder: {name}", fix="Fetch it again.", code="E0414"
        )
    return path


def read_split(root: Path, split: str, asked: Asked) -> Batches:
    """The pictures of one split, with the groups of the table."""
    table = root / TABLE
    if table.stat().st_size > asked.max_bytes:
        raise too_large(f"{root.name}/{TABLE}", asked.max_bytes)
    form = _form(_columns(table), asked.target, table)
    every = list(_lines(table))
    y, classes = as_labels(_numbers([v[form.y] for v in every]), f"{TABLE}: {form.y}")
    own = [k for k, line in enumerate(every) if form.split(line) == split]
    lines = [every[k] for k in own]
    files = [_inside(root, form.file.format(**line)) for line in lines]
    texts = [", ".join(f"{g} {line[g]}" for g in form.groups) for line in lines]
    rows = read_pictures(
        list(zip(files, y[own].tolist(), strict=True)), limit=asked.limit, seed=asked.seed,
        max_bytes=asked.max_bytes, grey=False,
    )  # fmt: skip
    names = sorted(set(texts))
    group = torch.tensor([names.index(texts[i]) for i in rows.index.tolist()], dtype=torch.int64)
    truth = Origin(name=f"{root.name}:{split}", total=len(lines), groups=tuple(names))
    found = group if form.groups else None
    return replace(rows, classes=classes, group=found, truth=truth)


def _numbers(labels: list[str]) -> list[float] | list[str]:
    """Labels as numbers where all of them are, else as names."""
    try:
        return [float(v) for v in labels]
    except ValueError:
        return labels


def _splits(root: Path) -> Mapping[str, Read]:
    table = root / TABLE
    if not table.is_file():
        return {}
    columns = _columns(table)
    form = CAMELYON if "tumor" in columns else Form("y", (), "", SPLITS, {})
    if "split" not in columns:
        raise ConfigError(f"{table} has no column split", fix="Add one.", code="E0132")
    return {s: partial(read_split, root, s) for s in sorted({form.split(v) for v in _lines(table)})}


FAMILIES = {
    "wilds": Family(
        says="pictures with a table of labels, splits and groups",
        link="https://wilds.stanford.edu/get_started", layout=f"FOLDER/{TABLE} and its pictures",
        parts=_splits, usual=lambda _: ("test",),
    ),
}  # fmt: skip
