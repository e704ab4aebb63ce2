"""Whether an audit streams its data by itself: shards, or more than memory should hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.core.errors import HoldfastError

SHARE = 0.25  # of the free memory; read as numbers, data take several times their place on disk
KINDS = (".parquet", ".tar")


def streams(chosen: dict[str, Any], asked: bool | None) -> tuple[bool, str]:
    """Whether to stream, and the line that says so if nobody asked for it.

    Only what was made for it is streamed unasked: Parquet whose columns are numbers and a class,
    or tar. Whoever gives a limit or a reference asks a sample, which lies in memory.

    Args:
        chosen: the options of the audit.
        asked: `--stream` (True), `--no-stream` (False), or neither.
    """
    if asked is not None or chosen.get("limit") or chosen.get("reference"):
        return bool(asked), ""
    found = _shards(Path(str(chosen.get("data") or "")))
    size, free = sum(p.stat().st_size for p in found), available()
    large = bool(found) and size > SHARE * free
    if not (large or len(found) > 1) or not _fit(found, chosen.get("target")):
        return False, ""
    what = f"{len(found)} shards" if len(found) > 1 else f"a file of {size / 1e9:.1f} GB"
    why = f", more than {SHARE:.0%} of the free memory," if large else ""
    return True, f"{what}{why} read a part at a time (--no-stream reads all rows at once)"


def _shards(place: Path) -> list[Path]:
    """The shards of a folder that holds nothing else, or one such file."""
    if place.is_file():
        return [place] if place.suffix in KINDS else []
    if not place.is_dir():
        return []
    found = sorted(p for p in place.iterdir() if not p.name.startswith("."))
    one = {p.suffix for p in found}
    return found if len(one) == 1 and one <= set(KINDS) and all(map(Path.is_file, found)) else []


def _fit(found: list[Path], target: str | None) -> bool:
    """Whether the columns can be streamed; other tables are read as ever."""
    from holdfast.readers.parquet_shards import columns

    if found[0].suffix == ".tar":
        return True
    try:
        columns(found, target)
    except HoldfastError:
        return False
    return True


def available() -> int:
    """Bytes of memory that are free on this machine; all of the world's where nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")) << 10
    except (OSError, StopIteration, ValueError, IndexError):
        return 1 << 62
