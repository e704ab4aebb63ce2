"""The results document as canonical JSON: equal content, equal bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from holdfast.report.document import Document

_DIGITS = 10


def _plain(value: Any) -> Any:
    """Plain values with floats of fixed precision; what is not finite becomes null."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        fixed = float(f"{value:.{_DIGITS}g}")
        return 0.0 if fixed == 0.0 else fixed
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value)


def render_json(results: Document) -> str:
    """The document with sorted keys and floats of ten significant digits.

    Numbers that are not finite are written as null, since JSON knows no other word for them.
    """
    return json.dumps(_plain(results), sort_keys=True, indent=1, allow_nan=False) + "\n"
