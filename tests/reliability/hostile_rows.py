"""Hostile files that call themselves data or settings, and the codes that refuse them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from tests.readers import hostile
from tests.reliability.hostile_models import LIMIT, Case, Make, _written

TAG = "<img src=x onerror=alert(1)>"


def torn(folder: Path, marker: Path) -> Path:
    path = folder / "torn.npz"
    np.savez(path, x=np.zeros((50, 9)), y=np.zeros(50))
    path.write_bytes(path.read_bytes()[:1500])
    return path


def locked(folder: Path, marker: Path) -> Path:
    """An archive that says it is encrypted."""
    path = folder / "locked.npz"
    np.savez(path, x=np.zeros((4, 2)), y=np.zeros(4))
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(mark)
        while at >= 0:
            raw[at + place] |= 1
            at = raw.find(mark, at + 4)
    path.write_bytes(raw)
    return path


def spoilt(folder: Path, marker: Path) -> Path:
    """A compressed archive with some bytes turned round."""
    path = folder / "spoilt.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((50, 9)), y=np.zeros(50))
    raw = bytearray(path.read_bytes())
    raw[300:340] = bytes(255 - b for b in raw[300:340])
    path.write_bytes(raw)
    return path


def climbing(folder: Path, marker: Path) -> Path:
    """Good rows, and members whose names lead out of any folder they are unpacked to."""
    path = folder / "climbs.npz"
    np.savez(path, x=np.zeros((4, 2)), y=np.arange(4) % 2)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"../../../../..{marker}", b"x")
        file.writestr(str(marker), b"x")
    return path


def headed(header: bytes) -> Make:
    """An npz file whose x has any header."""

    def make(folder: Path, marker: Path) -> Path:
        path, good = folder / "headed.npz", io.BytesIO()
        np.save(good, np.zeros(4))
        text = header.replace(b"MARKER", str(marker).encode())
        raw = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + bytes(64)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x.npy", raw)
            file.writestr("y.npy", good.getvalue())
        return path

    return make


def idx(*sizes: int, packed: bool = False) -> Make:
    """An idx file that announces more than it holds."""

    def make(folder: Path, marker: Path) -> Path:
        path = folder / "t10k-images-idx3-ubyte"
        raw = struct.pack(">4B", 0, 0, 8, len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes)
        path.write_bytes(gzip.compress(raw + bytes(4 * LIMIT)) if packed else raw + bytes(99))
        return path

    return make


def _pictured(name: str, raw: bytes) -> Make:
    """A folder of pictures one of which is this."""

    def make(folder: Path, marker: Path) -> Path:
        root = folder / "pictures"
        for kind in ("a", "b"):
            (root / kind).mkdir(parents=True)
            Image.new("L", (4, 4), 9).save(root / kind / "z.png")
        (root / "a" / name).write_bytes(raw.replace(b"MARKER", str(marker).encode()))
        return root

    return make


def _chunk(kind: bytes, raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + kind + raw + struct.pack(">I", zlib.crc32(kind + raw))


def png(width: int, height: int) -> bytes:
    """A picture of any size in a few bytes."""
    head = _chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(bytes(99)))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n(MARKER) (w) file closefile\n"


def looping(folder: Path, marker: Path) -> Path:
    """A folder that holds itself, by a link."""
    root = _pictured("ok.txt", b"")(folder, marker)
    (root / "a" / "again").symlink_to(root)
    return root


def table(name: str, text: str) -> Make:
    def make(folder: Path, marker: Path) -> Path:
        path = folder / name
        path.write_text(text.replace("MARKER", str(marker)))
        return path

    return make


def _names(*names: str) -> str:
    return "a,y\n" + "".join(f'0.{k},"{n}"\n' for k in range(9) for n in names)


def bomb(folder: Path, marker: Path) -> Path:
    path = folder / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,y\n" + b"1.0,0\n" * LIMIT))
    return path


SQL = "'); copy (select 1) to 'MARKER'; --"
DATA: dict[str, Case] = {
    **{f"rows: {m.__name__}": Case(m, ("E0405", "E0411")) for m in hostile.DATA},
    "npz: torn": Case(torn, ("E0411",)),
    "npz: bytes turned round": Case(spoilt, ("E0411",)),
    "npz: encrypted": Case(locked, ("E0411",)),
    "npz: zip bomb": Case(lambda f, m: hostile.bomb(f, "b.npz", 2 * LIMIT), ("E0410",)),
    "npz: member twice": Case(lambda f, m: hostile.twice(f, "t.npz", "DATA.PKL"), ("E0412",)),
    "npz: members that climb out": Case(climbing),
    "npz: program in a header": Case(
        headed(b"{'descr': __import__('os').system('touch MARKER'), 'shape': (1,)}"), ("E0411",)
    ),
    "npz: endless header": Case(headed(b"(" * 200_000), ("E0411",)),
    "npz: deep header": Case(headed(b"(" * 9_000), ("E0411",)),
    "idx: more rows than bytes": Case(idx(2**31, 2**31, 2**31), ("E0410",)),
    "idx: gzip bomb": Case(idx(4, 1000, 1000, packed=True), ("E0410",)),
    "picture: 60000 x 60000": Case(_pictured("a.png", png(60_000, 60_000)), ("E0413",)),
    "picture: 9 x 400000000": Case(_pictured("a.png", png(9, 400_000_000)), ("E0413",)),
    "picture: PostScript": Case(_pictured("a.png", EPS), ("E0413",)),
    "picture: torn": Case(_pictured("a.png", png(4, 4)[:40]), ("E0413",)),
    "pictures: folder in itself": Case(looping),
    "table: HTML in names": Case(table("t.csv", _names(TAG, "b"))),
    "table: formulas in names": Case(table("t.csv", _names("=cmd|' /C touch MARKER'!A0", "b"))),
    "table: SQL in its head": Case(table("t.csv", f'"{SQL}",y\n' + "0.5,0\n0.25,1\n" * 9)),
    "table: SQL in its name": Case(table("t'); select 1; --.csv", _names("0", "1"))),
    "table: names every file": Case(table("*.csv", _names("0", "1"))),
    "table: gzip bomb": Case(bomb, ("E0410",)),
    "table: torn Parquet": Case(_written("t.parquet", b"PAR1" + bytes(90) + b"PAR1"), ("E0414",)),
}
SETTINGS: dict[str, Case] = {
    "toml: deeper than the stack": Case(table("h.toml", "a = " + "[" * 20_000), ("E0121",)),
    "toml: a program as a check": Case(table("h.toml", '[[check]]\nuse = "os:system"\n'), ("E01",)),
    "toml: a gate that is a program": Case(
        table("h.toml", "[gate]\nclean = \"__import__('os').system('touch MARKER')\"\n"), ("E0120",)
    ),
    "toml: a template in a name": Case(
        table("h.toml", '[gate]\n"{{ 7 * 7 }}" = ">= {{ 7 }}"\n'), ("E0120",)
    ),
    "vnnlib: deeper than the stack": Case(table("p.vnnlib", "(" * 50_000), ("E0416", "E03", "E01")),
}
