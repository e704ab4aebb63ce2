"""Looks into zip archives before anybody unpacks them, and refuses those that would do harm."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import UntrustedFile

MAX_BYTES = 4 << 30
RATIO_FROM = 256 << 20  # below this size any compression is harmless
RATIO = 200
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Archive:
    """The members of a zip archive that passed the checks.

    Args:
        path: of the archive.
        names: its members, without a common first folder.
        top: that folder with its slash, empty without one.
    """

    path: Path
    names: tuple[str, ...]
    top: str

    def read(self, name: str, limit: int = 64 << 20) -> bytes:
        """One member, given without the common folder, at most `limit` bytes of it."""
        with zipfile.ZipFile(self.path) as file, file.open(self.top + name) as member:
            return member.read(limit)


def head(path: Path, count: int = 512) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(count)


def is_zip(path: Path) -> bool:
    """Whether the contents begin as a zip archive; a torn one does too, and opening it says so."""
    return head(path, 4) in (b"PK\x03\x04", b"PK\x05\x06")


def checked_size(
    name: str, size: int, packed: int, max_bytes: int = MAX_BYTES, *, whole: bool = True
) -> None:
    """Refuse what would unpack to far more than it seems.

    Args:
        name: of the file, for the error.
        size: unpacked, in bytes.
        packed: of the file, in bytes.
        max_bytes: the limit.
        whole: whether `size` is all of it, or what was unpacked so far.

    Raises:
        UntrustedFile: above `max_bytes`, or 200 times the size of the file above 256 MiB.
    """
    if size > max_bytes:
        raise UntrustedFile(
            f"{name} unpacks to {'' if whole else 'at least '}{size:,} bytes, the limit is "
            f"{max_bytes:,}",
            fix=f"If you trust it, raise the limit: --max-bytes {size}" + "0" * (not whole),
            code="E0410",
        )
    if size > RATIO_FROM and size > RATIO * max(packed, 1):
        raise UntrustedFile(
            f"{name} unpacks from {packed:,} to {size:,} bytes (more than {RATIO} times), "
            "as only zip bombs do",
            fix="Save it again without compression.",
            code="E0410",
        )


def opened(path: Path, max_bytes: int = MAX_BYTES) -> Archive:
    """The members of an archive, none of them unpacked.

    Args:
        path: of the archive.
        max_bytes: largest sum of unpacked sizes.

    Raises:
        UntrustedFile: for zip bombs, duplicate members, encryption and broken archives.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UntrustedFile(
            f"{path.name} is a broken zip archive ({error})", fix="Save it again.", code="E0411"
        ) from None
    names = [m.filename for m in members if not m.is_dir()]
    seen = [n.casefold() for n in names]  # some readers of zip archives do not tell case
    if len(seen) != len(set(seen)):
        twice = next(n for n, low in zip(names, seen, strict=True) if seen.count(low) > 1)
        raise UntrustedFile(
            f"{path.name} holds {twice!r} twice, so that two readers could see different files",
            fix="Save it again with the library that made it.",
            code="E0412",
        )
    if any(m.flag_bits & 1 for m in members):
        raise UntrustedFile(f"{path.name} is encrypted", fix="Save it unencrypted.", code="E0411")
    size = sum(m.file_size for m in members)
    checked_size(path.name, size, path.stat().st_size, max_bytes)
    tops = {n.partition("/")[0] for n in names}
    top = tops.pop() + "/" if len(tops) == 1 and all("/" in n for n in names) else ""
    return Archive(path, tuple(n[len(top) :] for n in names), top)
