"""The bytes of a file, unpacked where it is gzipped, and never more than a limit."""

from __future__ import annotations

import zlib
from pathlib import Path

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import GZIP

_STEP = 1 << 20


def unpacked(path: Path, max_bytes: int) -> bytes:
    """What a file holds; gzip is known by its contents, not by a suffix.

    Raises:
        ConfigError: if there is no such file.
        UntrustedFile: if it holds more than `max_bytes`, or is cut off.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no file {path}",
            fix=f"Name a file that exists; ls {path.parent} lists what is there.",
            code="E0111",
        )
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        unpack = zlib.decompressobj(wbits=31) if packed else None
        found, size = [], 0
        while chunk := file.read(_STEP):
            try:
                parts = unpack.decompress(chunk, max_bytes + 1 - size) if unpack else chunk
            except zlib.error as error:
                raise _refused(path, f"is not gzip: {error}") from None
            found.append(parts)
            size += len(parts)
            if size > max_bytes or (unpack and unpack.unconsumed_tail):
                raise _refused(path, f"holds more than {max_bytes} bytes")
        if unpack is not None and not unpack.eof:
            raise _refused(path, "is cut off: its gzip stream does not end")
    return b"".join(found)


def _refused(path: Path, says: str) -> UntrustedFile:
    return UntrustedFile(f"{path.name} {says}", fix="Check where it comes from.", code="E0415")
