"""JSON lines: one object a line, or one list of objects, all with the same keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.packed import unpacked

Record = dict[str, Any]


def is_json(first: bytes) -> bool:
    """Whether a text begins with an object, or a list of objects."""
    plain = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    return plain.startswith(b"{") or (
        plain.startswith(b"[") and plain[1:].lstrip().startswith(b"{")
    )


def records(path: Path, max_bytes: int) -> Iterator[Record]:
    """The objects of a file, packed by gzip or not, each with the same keys.

    Raises:
        ConfigError: for a line that is no object, or has other keys than the first.
        UntrustedFile: if it unpacks to more than `max_bytes`, or is no text.
    """
    try:
        text = unpacked(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UntrustedFile(
            f"{path.name} is no UTF-8 text ({error.reason} at byte {error.start})",
            fix="Save it as UTF-8.",
            code="E0411",
        ) from None
    whole = text.lstrip().startswith("[")
    lines: Any = [text] if whole else text.split("\n")
    keys: set[str] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _parsed(line, path.name, number)
        for place, record in enumerate(found if whole else [found], 1):
            at = f"object {place}" if whole else f"line {number}"
            if not isinstance(record, dict):
                raise _odd(f"{path.name}, {at}: {type(record).__name__} instead of an object")
            keys = set(record) if keys is None else keys
            if set(record) != keys:
                other = ", ".join(sorted(set(record) ^ keys)[:3])
                raise _odd(f"{path.name}, {at} has other keys than the first one ({other})")
            yield record


def _parsed(line: str, file: str, number: int) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        says = "is nested too deeply"
    except ValueError as error:
        says = f"is no JSON: {str(error)[:200]}"
    raise _odd(f"{file}, line {number} {says}")


def _once(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _odd(says: str) -> ConfigError:
    return ConfigError(says, fix="Write one object a line, all with the same keys.", code="E0160")
