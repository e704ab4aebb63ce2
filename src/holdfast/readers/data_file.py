"""Files of rows, told apart by what is in them."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, HoldfastError, UntrustedFile
from holdfast.readers.archive import is_zip
from holdfast.readers.arrays import read_npz
from holdfast.readers.built_in import BUILT_IN
from holdfast.readers.dataset_folder import read_arrow
from holdfast.readers.dataset_shards import ARROW
from holdfast.readers.idx import is_idx, read_idx, start
from holdfast.readers.json_lines import is_json
from holdfast.readers.json_rows import read_json
from holdfast.readers.tables import read_table
from holdfast.readers.tensor_file import is_safetensors, read_tensors
from holdfast.readers.text_lines import is_prompts, read_prompts


def read_file(path: Path, target: str | None, max_bytes: int) -> Batches:
    """Rows of one file.

    Raises:
        ConfigError: if there is no such file, or it is in no known format.
        UntrustedFile: if reading it would run code.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no data {str(path)!r}: no file, no folder, no built-in set",
            fix=f"Built in: {', '.join(BUILT_IN)}, synthetic:blobs. Or file.py:function, or a "
            "published benchmark such as imagenet-c:FOLDER.",
            code="E0131",
        )
    first = start(path)
    if is_zip(path):
        found = read_npz(path, max_bytes)
    elif first.startswith(b"PAR1"):
        found = read_table(path, target, parquet=True, max_bytes=max_bytes)
    elif is_idx(first):
        found = read_idx(path, max_bytes)
    elif is_safetensors(path):
        found = read_tensors(path, target, max_bytes)
    elif first.startswith(ARROW):
        found = read_arrow(path, target, max_bytes)
    elif (wrong := _refused(path, first)) is not None:
        raise wrong
    elif is_json(first):
        found = read_json(path, target, max_bytes)
    elif is_prompts(path, target):
        found = read_prompts(path, max_bytes)
    else:
        found = read_table(path, target, max_bytes=max_bytes)
    return found


def _refused(path: Path, first: bytes) -> HoldfastError | None:
    """Why a file is not read as a text; None for texts."""
    if first.startswith(b"\x80"):
        return UntrustedFile(
            f"{path.name} is a pickle, and reading it would run code",
            fix="Save the rows as numbers: numpy.savez(file, x=x, y=y)",
            code="E0405",
        )
    if first.startswith(b"\x93NUMPY"):
        return ConfigError(
            f"{path.name} holds one array; inputs and labels are needed",
            fix="numpy.savez(file, x=inputs, y=labels)",
            code="E0133",
        )
    if b"\0" in first or not first:
        return ConfigError(
            f"{path.name} is {'not a known format' if first else 'empty'}",
            fix="Give .npz, safetensors, idx, CSV, Parquet, JSON lines, a folder of pictures, or "
            "file.py:function.",
            code="E0131",
        )
    return None
