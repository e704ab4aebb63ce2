"""Plain values, canonical JSON, and files that are either whole or absent."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:  # noqa: PLR0911 - one return per form
    """Dictionaries, lists, text, numbers and None; NaN and infinities become None."""
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    if hasattr(value, "tolist"):  # tensors and arrays, scalars of numpy
        return plain(value.tolist())
    return [plain(v) for v in value] if isinstance(value, Sequence) else str(value)


def canonical(value: Any) -> str:
    """One text per value: sorted keys, no spaces that carry nothing, a line break at the end."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text + "\n"


def write(path: Path, content: str | bytes) -> Path:
    """Put a file in place so that a reader sees all of it or what was there before.

    The content reaches the disk under another name before it takes its own, and the folder is
    flushed behind it: neither a crash of the process nor of the machine leaves half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return path
