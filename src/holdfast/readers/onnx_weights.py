"""The numbers of ONNX weights, in the file or beside it in the same folder, and nowhere else."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import UntrustedFile
from holdfast.readers.onnx_operators.step import MAX_NUMBERS

Array = np.ndarray[Any, Any]


def array(onnx: Any, tensor: Any, path: Path) -> Array:
    """The numbers of a weight."""
    if prod(tensor.dims) > MAX_NUMBERS or any(d < 0 for d in tensor.dims):
        raise refused(path, f"holds a weight of shape {list(tensor.dims)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor = _beside(onnx, tensor, path)
    try:
        found: Array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise refused(path, f"holds a broken weight {tensor.name!r}: {error}") from None
    if found.dtype.kind not in "fiub":  # formats that numpy does not know, and texts
        found = found.astype(np.float32) if found.dtype.name == "bfloat16" else found
    return found


def _beside(onnx: Any, tensor: Any, path: Path) -> Any:
    """A weight whose numbers stand in a second file of the same folder."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    location = where.get("location", "")
    other = (path.parent / location).resolve()
    if Path(location).name != location or other.parent != path.parent.resolve():
        raise refused(path, f"keeps weight {tensor.name!r} in {location!r}, outside its folder")
    if not other.is_file():
        raise refused(path, f"keeps weight {tensor.name!r} in {location!r}, which is missing")
    size = (
        prod(tensor.dims)
        * np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    )
    offset = str(where.get("offset", 0))
    if not offset.isdecimal():
        raise refused(path, f"keeps weight {tensor.name!r} in {location!r} from byte {offset!r} on")
    start = int(offset)
    with other.open("rb") as file:
        file.seek(start)
        raw = file.read(size)
    if len(raw) != size:
        raise refused(path, f"keeps weight {tensor.name!r} in {location!r}, which is too short")
    whole = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, name=tensor.name)
    whole.raw_data = raw
    return whole


def refused(path: Path, says: str) -> UntrustedFile:
    """The error of a file that is not as it should be."""
    return UntrustedFile(f"{path.name} {says}", fix="Check where it comes from.", code="E0416")
