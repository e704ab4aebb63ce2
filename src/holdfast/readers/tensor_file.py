"""Rows in a safetensors file: two tensors by name. The format holds numbers only, and no code."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.readers.archive import MAX_BYTES, head
from holdfast.readers.arrays import PAIRS, from_pair
from holdfast.readers.weights import read_safetensors


def is_safetensors(path: Path) -> bool:
    """Whether a file begins with the length of a header in JSON, as safetensors do."""
    first = head(path, 9)
    return first[8:9] == b"{" and 1 < int.from_bytes(first[:8], "little") < path.stat().st_size


def read_tensors(path: Path, target: str | None = None, max_bytes: int = MAX_BYTES) -> Batches:
    """Rows of a safetensors file that holds `x` and `y`, or `images` and `labels`.

    With `target` that tensor holds the labels; the inputs are then the one other tensor, or the
    one with a usual name.

    Raises:
        ConfigError: if it is not clear which tensor is which.
        ShapeError: if they are no inputs and labels of the same rows.
        UntrustedFile: if the file is not what its header says.
    """
    found = read_safetensors(path, max_bytes)
    x, y = _named(set(found), target, path.name)
    inputs, labels = found[x], found[y]
    if not inputs.dim() or len(inputs) != labels.numel():
        raise ShapeError(
            f"{path.name}: {x!r} has shape {tuple(inputs.shape)}, {y!r} has {tuple(labels.shape)}",
            fix="Give one label per row, rows first.",
            code="E0204",
        )
    return from_pair(_plain(inputs), _plain(labels), path.name)


def _named(names: set[str], target: str | None, file: str) -> tuple[str, str]:
    """Which tensor holds the inputs and which the labels."""
    listed = ", ".join(sorted(names)[:8]) or "nothing"
    if target is None:
        pair = next((p for p in PAIRS if names >= set(p)), None)
        if pair is not None:
            return pair
        raise ConfigError(
            f"{file} holds {listed}; looked for x and y, or images and labels",
            fix=f"Say which one holds the labels: --target {sorted(names)[-1] if names else 'y'}",
            code="E0133",
        )
    if target not in names:
        raise ConfigError(
            f"{file} has no tensor {target!r}; it has {listed}",
            fix="Name one of them: --target NAME",
            code="E0132",
        )
    others = names - {target}
    usual = [first for first, _ in PAIRS if first in others]
    if len(others) != 1 and not usual:
        raise ConfigError(
            f"{file}: which tensor of {listed} holds the inputs?",
            fix="Call it x, and leave the others out.",
            code="E0161",
        )
    return (usual or sorted(others))[0], target


def _plain(values: Tensor) -> Tensor:
    """Numbers that NumPy knows too: the short kinds of floats become float32."""
    known = values.dtype.itemsize > 1 or not values.is_floating_point()
    return values if known and "bfloat16" not in str(values.dtype) else values.float()
