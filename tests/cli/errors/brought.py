"""What stands around codes about what is brought along: data sets, shards, plugins, runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.cli.errors.before import Around, Step, audited, config, python
from tests.cli.world import NET, rows
from tests.readers.test_shards import parquet, picture, tar


def _lines(last: str) -> Step:
    """Rows as JSON lines, and one line more."""
    x, y = rows(60)
    whole = [{"x": row, "label": c} for row, c in zip(x.tolist(), y.tolist(), strict=True)]
    text = "\n".join([*map(json.dumps, whole), last])
    return lambda folder: (folder / "other.jsonl").write_text(text)


def _tensors(*inputs: str) -> Step:
    """Rows as a safetensors file, with the inputs under each of these names."""
    x, y = (part.numpy() for part in rows(60))
    return lambda folder: save_file(
        {name: x for name in inputs} | {"y": y}, folder / "other.safetensors"
    )


def _columns(n: int = 60) -> dict[str, np.ndarray]:
    x, y = rows(n)
    return {f"p{k}": column for k, column in enumerate(x.flatten(1).numpy().T)} | {
        "label": y.numpy()
    }


def _described(folder: Path) -> None:
    (folder / "saved").mkdir()
    (folder / "saved/dataset_info.json").write_text("{}")


def shards(folder: Path) -> None:
    """Two shards of a table, in place of whatever was there."""
    shutil.rmtree(folder / "shards", ignore_errors=True)
    for k in range(2):
        parquet(folder / f"shards/{k}.parquet", **_columns())


def _beside(**columns: np.ndarray) -> Around:
    """A third shard whose columns are others."""

    def wrong(folder: Path) -> None:
        shards(folder)
        parquet(folder / "shards/2.parquet", **_columns() | columns)

    return Around(wrong, shards)


def _damaged(folder: Path) -> None:
    shards(folder)
    (folder / "shards/2.parquet").write_bytes(b"PAR1 and no more PAR1")


def _samples(label: str) -> Step:
    """Pictures and labels in a tar file; the last label has this ending."""

    def made(folder: Path) -> None:
        members = [
            member
            for k, c in enumerate(rows(12)[1].tolist())
            for member in (
                (f"{k:03d}.png", picture(20 * k, 6, "L")),
                (f"{k:03d}.{label if k == 11 else 'cls'}", str(c).encode()),
            )
        ]
        tar(folder / "shards/0.tar", *members)

    return made


_METHOD = """
from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
OURS = register("attack", name="{}", says="Nine steps.")(PGD(steps=9))
"""
_SECTION = "from holdfast.run.plugins import extend\nextend('{}', 'ours')(lambda results: ())\n"
_AUDIT = '[audit]\nprofile = "one.toml"\n[[accepted]]\ngate = "clean.accuracy"\n'

AROUND: dict[str, Around] = {
    "E0160": Around(_lines('{"x": [0.5]}'), _lines("")),
    "E0161": Around(_tensors("a", "b"), _tensors("a", "x")),
    "E0162": Around(_described, lambda f: parquet(f / "saved/test.parquet", **_columns())),
    "E0167": python(NET),
    "E0168": python("import no_such_thing\n"),
    "E0169": python(_METHOD.format("fgsm"), _METHOD.format("our-fgsm")),
    "E0170": python(_SECTION.format("page"), _SECTION.format("section")),
    "E0172": Around(audited),
    "E0176": config(_AUDIT),
    "E0177": Around(audited),
    "E0179": Around(audited),
    "E0199": Around(shards),
    "E0420": Around(_damaged, shards),
    "E0421": _beside(more=np.zeros(60)),
    "E0422": Around(
        lambda f: parquet(f / "shards/0.parquet", **_columns() | {"p7": np.full(60, np.nan)}),
        shards,
    ),
    "E0423": Around(_samples("txt"), _samples("cls")),
}
"""What stands around the codes whose commands bring something along."""
