"""Any model and any data become a Subject; files that would run code are refused.

`read_model` and `read_data` look at the contents of a file, never at its suffix. `subject` joins
both: it splits off the rows for fitting, scales tables and notes what identifies the question.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.readers.data import read_data
    from holdfast.readers.join import subject
    from holdfast.readers.model import ReadModel, read_model
    from holdfast.readers.origin import Origin

_HOMES = {
    "read_data": "data",
    "read_model": "model",
    "ReadModel": "model",
    "subject": "join",
    "Origin": "origin",
}
__all__ = ["Origin", "ReadModel", "read_data", "read_model", "subject"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
