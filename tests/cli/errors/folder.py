"""The folder in which every case of the catalogue is tried: what a user would have, and no more."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from tests.certify.onnx_nets import mlp, specification
from tests.cli.world import NET, lay, rows, toml

from holdfast.readers.address import Address, posted

ONNX = find_spec("onnx") is not None


def made(folder: Path) -> Path:
    """A network, its rows as arrays and as a table, quick settings, and a network in ONNX."""
    lay(folder)
    x, y = rows(90)
    np.savez(folder / "rows.npz", x=x.numpy(), y=y.numpy())
    table(folder / "table.csv")
    (folder / "one.toml").write_text(toml("clean"))
    (folder / "holdfast.toml").write_text('[audit]\nprofile = "one.toml"\n')
    if ONNX:
        mlp(folder / "net.onnx", (36, 4, 3))
        specification(folder / "spec.vnnlib", [0] * 36, [1] * 36, "(>= Y_0 1e6)", count=3)
        (folder / "instances.csv").write_text("net.onnx,spec.vnnlib,10\n")
    return folder


def table(file: Path, cell: str | None = None, *, n: int = 60, ragged: bool = False) -> None:
    """The rows as a CSV file; `cell` stands in the first field of the third row."""
    x, y = rows(n)
    lines = [",".join([*(f"p{i}" for i in range(36)), "label"])]
    for k, (row, label) in enumerate(zip(x.flatten(1).tolist(), y.tolist(), strict=True)):
        words = [f"{v:.4f}" for v in row]
        words[0] = cell if cell is not None and k == 2 else words[0]
        lines.append(",".join([*words, str(label)] + ["more"] * (ragged and k == 2)))
    file.write_text("\n".join(lines) + "\n")


def save(file: Path, x: object = None, y: object = None) -> None:
    """Rows as an .npz file; the usual ones unless given."""
    own, labels = rows(60)
    np.savez(file, x=own.numpy() if x is None else x, y=labels.numpy() if y is None else y)


def photos(folder: Path, *, odd: bool = False, torn: bool = False) -> None:
    """The rows as pictures in folders of classes."""
    x, y = rows(30)
    for k, (row, label) in enumerate(zip(x.numpy(), y.tolist(), strict=True)):
        place = folder / "photos" / f"class-{label}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (row[0] * 255).astype(np.uint8)
        pixels = pixels[:5] if odd and k == 7 else pixels
        Image.fromarray(pixels, mode=None).save(place / f"{k:03d}.png")
    if torn:
        (folder / "photos" / "class-0" / "torn.png").write_bytes(b"no picture")


def mine(folder: Path, text: str) -> None:
    """The user's own Python file."""
    (folder / "mine.py").write_text(text)


def ending(last: str) -> str:
    """Text of a model with something behind its last layer; `mine.py:model` and `mine.py:build`."""
    return (
        f"import torch\n{NET}\n\nclass Ending(nn.Module):\n    def forward(self, x):\n"
        f"        return {last}\n\n\n_inner = build\n\n\ndef build():\n"
        "    torch.manual_seed(0)\n    return nn.Sequential(*_inner(), Ending())\n\n\n"
        "def model():\n    return build()\n"
    )


def spec(folder: Path, text: str) -> None:
    """A property of three outputs whose last assertion is given."""
    specification(folder / "spec.vnnlib", [0] * 36, [1] * 36, text, count=3)


def hosted(address: Address, body: bytes, timeout: float) -> bytes:
    """What a server on port 8000 of this machine would answer, by path; others are really asked."""
    if address.port != 8000:
        return posted(address, body, timeout)
    if address.path != "/predict":
        return b'{"status": "ok"}'
    inputs = np.asarray(json.loads(body)["inputs"])
    columns = inputs.reshape(len(inputs), 6, 3, 2).mean((1, 3))
    return json.dumps({"logits": (20 * columns).tolist()}).encode()
