"""Text files: one prompt a line, without labels."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.packed import unpacked
from holdfast.readers.row_lists import texts

LONGEST = 1 << 20  # characters of a line: more is no prompt


def is_prompts(path: Path, target: str | None) -> bool:
    """Whether a text file holds prompts: its name ends in .txt, and nobody names a column.

    Contents cannot tell a prompt with commas from a row of a table, so here the name decides.
    """
    return target is None and path.name.endswith((".txt", ".txt.gz"))


def read_prompts(path: Path, max_bytes: int = MAX_BYTES) -> Batches:
    """The lines of a text file that are not empty, packed by gzip or not.

    Raises:
        ShapeError: for a line that no prompt is as long as.
        UntrustedFile: if it unpacks to more than `max_bytes`, or is no text.
    """
    try:
        lines = unpacked(path, max_bytes).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UntrustedFile(
            f"{path.name} is no UTF-8 text ({error.reason} at byte {error.start})",
            fix="Save it as UTF-8.",
            code="E0411",
        ) from None
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST:
            raise ShapeError(
                f"{path.name}, line {number} has {len(line):,} characters",
                fix="Write one prompt a line.",
                code="E0206",
            )
    return texts([line for line in lines if line.strip()], None, path.name)
