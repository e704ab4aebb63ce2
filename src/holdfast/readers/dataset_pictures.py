"""Pictures inside the files of a data set: encoded bytes in a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, UntrustedFile
from holdfast.readers.archive import checked_size
from holdfast.readers.images import FORMATS, GREY, picture_array
from holdfast.readers.origin import Origin
from holdfast.readers.row_lists import labelled


def pictures(
    found: Sequence[Any], labels: Sequence[Any] | None, name: str, max_bytes: int
) -> Batches:
    """Rows that are pictures of one size, in [0, 1]; grey where all of them are.

    Raises:
        ConfigError: for a picture that lies in another file: paths in a data set are not followed.
        ShapeError: for pictures of several sizes.
        UntrustedFile: for damaged ones, and for more than `max_bytes` of decoded numbers.
    """
    raws = [_bytes(value, name, row) for row, value in enumerate(found, 1)]
    forms = [_header(raw, name, row) for row, raw in enumerate(raws, 1)]
    sizes = sorted({size for _, size in forms})
    if len(sizes) > 1:
        raise ShapeError(
            f"{name}: pictures have {sizes[0][0]}x{sizes[0][1]} and {sizes[1][0]}x{sizes[1][1]} "
            "pixels",
            fix="Bring all pictures to the size that the model expects.",
            code="E0205",
        )
    grey = all(is_grey for is_grey, _ in forms)
    width, height = sizes[0] if sizes else (1, 1)
    shape = (len(raws), 1 if grey else 3, height, width)
    checked_size(name, 4 * int(np.prod(shape, dtype=object)), max_bytes, max_bytes)
    x = np.empty(shape, np.float32)
    for row, raw in enumerate(raws):
        try:
            x[row] = picture_array(BytesIO(raw), grey, None)
        except (OSError, ValueError, SyntaxError) as error:
            raise _damaged(name, row + 1, error) from None
    y, classes = labelled(labels, len(raws), name)
    truth = Origin(name=name, total=len(raws))
    return Batches(x=torch.from_numpy(x), y=y, classes=classes, truth=truth)


def _bytes(value: Any, name: str, row: int) -> bytes:
    raw = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(raw, bytes):
        raise ConfigError(
            f"{name}: the picture of row {row} is not in the file, which names another one",
            fix="Save the data set with its pictures inside: ds.to_parquet(file)",
            code="E0162",
        )
    return raw


def _header(raw: bytes, name: str, row: int) -> tuple[bool, tuple[int, int]]:
    """Whether a picture is grey, and its size; nothing is decoded."""
    from PIL import Image

    try:
        with Image.open(BytesIO(raw), formats=FORMATS) as picture:
            return picture.mode in GREY, picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(name, row, error) from None


def _damaged(name: str, row: int, error: Exception) -> UntrustedFile:
    return UntrustedFile(
        f"{name}: the picture of row {row} is damaged ({type(error).__name__})",
        fix="Remove it, or save it as PNG.",
        code="E0413",
    )
