"""What the JSON files of a model folder say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.core.errors import ConfigError

MOST = 16 << 20  # bytes of a description


def description(path: Path) -> Mapping[str, Any]:
    """What a JSON file of a folder says; nothing where it is not there.

    Raises:
        ConfigError: if it is no description.
    """
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MOST:
            raise ValueError("it is too large")
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path.parent.name}/{path.name} cannot be read: {str(error)[:200]}",
            fix="Save the model again: model.save_pretrained(folder)",
            code="E0116",
        ) from None
    return found
