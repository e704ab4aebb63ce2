"""Tar files of samples, `0001.png` beside `0001.cls` or `0001.json`: read in order, never unpacked.

Members are read into memory one by one; nothing is written to disk, so no name in the archive can
lead anywhere. Memory is that of the rows asked for, however many the file holds.
"""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from holdfast.core.errors import UntrustedFile

PICTURES = ("png", "jpg", "jpeg", "bmp", "webp")
LABELS = ("cls", "json")
_NAMES = ("cls", "label", "class", "y", "target")
_MOST = 64 << 20  # bytes of one member


def count(path: Path) -> int:
    """Samples in a file, from its headers alone."""
    return sum(1 for _ in _samples(path))


def rows(path: Path, first: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `(many, C, H, W)` of bytes and their labels, from the sample number `first` on.

    Raises:
        UntrustedFile: if the file is damaged, or a sample lacks its picture or its label.
    """
    pictures, labels = [], []
    with _opened(path) as file:
        for number, sample in enumerate(_samples(path)):
            if number >= first + many:
                break
            if number >= first:
                kinds = {m.name.rpartition(".")[2].lower(): m for m in sample}
                pictures.append(_picture(path, file, kinds, sample[0].name))
                labels.append(_label(path, file, kinds, sample[0].name))
    shapes = {p.shape for p in pictures}
    if len(shapes) > 1:
        says = f"{path.name} holds pictures of {len(shapes)} shapes"
        raise UntrustedFile(says, fix="Bring all to one size and colour.", code="E0423")
    return np.stack(pictures), np.array(labels, dtype=np.int64)


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except (tarfile.TarError, OSError) as error:
        raise UntrustedFile(
            f"{path.name} cannot be read as a tar file: {error}",
            fix="Pack it again, uncompressed: tar cf FILE.tar FOLDER", code="E0420",
        ) from None  # fmt: skip


def _samples(path: Path) -> Iterator[list[tarfile.TarInfo]]:
    """Members that follow each other and share the name before their first dot."""
    with _opened(path) as file:
        own, found = "", list[tarfile.TarInfo]()
        while (member := _next(path, file)) is not None:
            file.members = []  # type: ignore[attr-defined]  # else all headers of the file would stay in memory
            folder, _, name = member.name.rpartition("/")
            stem = f"{folder}/{name.partition('.')[0]}"
            if not member.isreg() or name.startswith("."):
                continue
            if found and stem != own:
                yield found
                found = []
            own = stem
            found.append(member)
        if found:
            yield found


def _next(path: Path, file: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return file.next()
    except (tarfile.TarError, OSError) as error:
        raise UntrustedFile(
            f"{path.name} is damaged: {error}", fix="Fetch it again.", code="E0420"
        ) from None


def _read(path: Path, file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _MOST:
        says = f"{path.name}: {member.name} has {member.size:,} bytes"
        raise UntrustedFile(says, fix="Leave it out.", code="E0423")
    handle = file.extractfile(member)
    raw = b"" if handle is None else handle.read()
    if len(raw) != member.size:
        says = f"{path.name} ends in the middle of {member.name}"
        raise UntrustedFile(says, fix="Fetch it again.", code="E0420")
    return raw


def _picture(
    path: Path, file: tarfile.TarFile, kinds: dict[str, tarfile.TarInfo], name: str
) -> np.ndarray:
    from PIL import Image

    kind = next((k for k in PICTURES if k in kinds), None)
    if kind is None:
        raise _lacks(path, name, "picture", PICTURES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(_read(path, file, kinds[kind])))
            values = np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise UntrustedFile(
            f"{path.name}: {kinds[kind].name} cannot be read as a picture ({error})",
            fix="Leave it out, or save it again.", code="E0423",
        ) from None  # fmt: skip
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _label(path: Path, file: tarfile.TarFile, kinds: dict[str, tarfile.TarInfo], name: str) -> int:
    try:
        if "cls" in kinds:
            return int(_read(path, file, kinds["cls"]).decode("ascii").strip())
        if "json" in kinds:
            told = json.loads(_read(path, file, kinds["json"]))
            return int(next(told[k] for k in _NAMES if k in told))
    except (ValueError, TypeError, StopIteration):
        pass
    raise _lacks(path, name, "label that is a whole number", LABELS)


def _lacks(path: Path, name: str, what: str, kinds: tuple[str, ...]) -> UntrustedFile:
    return UntrustedFile(
        f"{path.name}: {name} has no {what}", fix=f"Add one of .{', .'.join(kinds)}.", code="E0423"
    )
