"""What must be wrong before a code appears, and what repairs it: one pair of functions per code.

A code that is not named here needs nothing: its command alone provokes it, and the command that
is suggested works at once.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tests.certify.onnx_nets import save as save_onnx
from tests.certify.onnx_nets import specification
from tests.cli.errors.folder import ending, mine, photos, save, spec, table
from tests.cli.world import NET, build, rows

Step = Callable[[Path], object]


class Around(NamedTuple):
    """What is laid out before the case, and what is repaired before the example."""

    before: Step
    after: Step = lambda folder: None


def _text(name: str, text: str) -> Step:
    return lambda folder: (folder / name).write_text(text)


def python(text: str, repaired: str = NET) -> Around:
    """The user's own Python file, and how it reads once repaired."""
    return Around(lambda f: mine(f, text), lambda f: mine(f, repaired))


def _other(x: object = None, y: object = None) -> Around:
    return Around(lambda f: save(f / "other.npz", x, y), lambda f: save(f / "other.npz"))


def _spec(text: str) -> Around:
    return Around(lambda f: spec(f, text), lambda f: spec(f, "(>= Y_0 1e6)"))


def _raw_spec(content: bytes) -> Around:
    return Around(
        lambda f: (f / "spec.vnnlib").write_bytes(content), lambda f: spec(f, "(>= Y_0 1e6)")
    )


def _table(cell: str | None = None, ragged: bool = False) -> Around:
    return Around(lambda f: table(f / "other.csv", cell, ragged=ragged),
                  lambda f: table(f / "other.csv"))  # fmt: skip


def _photos(**wrong: bool) -> Around:
    def again(folder: Path) -> None:
        shutil.rmtree(folder / "photos")
        photos(folder)

    return Around(lambda f: photos(f, **wrong), again)


def config(text: str) -> Around:
    """Settings of the folder, and the usual ones."""
    usual = '[audit]\nprofile = "one.toml"\n'
    return Around(_text("holdfast.toml", text), _text("holdfast.toml", usual))


def audited(folder: Path) -> None:
    """An audit that was made in the folder."""
    from holdfast.cli.front import run

    assert run("audit net.pt --arch net.py:build --data rows.npz".split()) in (0, 1, 3)


def _torn_run(folder: Path) -> None:
    audited(folder)
    (next((folder / ".holdfast/runs").iterdir()) / "results.json").write_text("{")


def _torn_ledger(folder: Path) -> None:
    (folder / ".holdfast").mkdir()
    (folder / ".holdfast/ledger.sqlite").write_bytes(b"no database" * 200)


def _idx(folder: Path, labels: bool) -> None:
    x, y = rows(60)
    pixels = (x[:, 0] * 255).numpy().astype(np.uint8)
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
    (folder / "t10k-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    if labels:
        head = b"\0\0\x08\x01" + len(y).to_bytes(4, "big")
        (folder / "t10k-labels-idx1-ubyte").write_bytes(head + bytes(y.tolist()))


_WIDE = """from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
"""


def _another_hardening(folder: Path, **plan: object) -> None:
    kept = folder / "net-trades.training"
    kept.mkdir()
    (kept / "plan.json").write_text(json.dumps(plan or {"identity": "of another model"}))


def _weights(content: object) -> Step:
    return lambda folder: torch.save(content, folder / "other.pt")


def _spoilt(folder: Path) -> None:
    save(folder / "other.npz")
    whole = (folder / "other.npz").read_bytes()
    middle = len(whole) // 2
    (folder / "other.npz").write_bytes(whole[:middle] + b"\xff\x00" * 8 + whole[middle + 16 :])


def _twice(folder: Path) -> None:
    save(folder / "other.npz")
    with zipfile.ZipFile(folder / "other.npz", "a") as file:
        file.writestr("X.npy", b"another")


def _two_outputs(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(folder / "net.onnx")
    again = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Relu", [again], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3]))
    onnx.save(model, folder / "wide.onnx")


def _odd_operator(folder: Path) -> None:
    save_onnx(folder / "odd.onnx", [("Rellu", ["x"], ["y"], {})], {}, [1, 36], [1, 36])


def _packed(folder: Path) -> None:
    whole = gzip.compress((folder / "spec.vnnlib").read_bytes())
    (folder / "spec.vnnlib.gz").write_bytes(whole[:-20])


def _script(folder: Path) -> None:
    torch.jit.save(torch.jit.trace(build(), torch.zeros(1, 1, 6, 6)), folder / "program.pt")


def _softened(folder: Path) -> None:
    """Weights of the same network with a curve behind its last layer."""
    mine(folder, ending("x.tanh()"))
    shutil.copy(folder / "net.pt", folder / "odd.pt")


def _small_spec(folder: Path) -> None:
    specification(folder / "spec.vnnlib", [0, 0], [1, 1], "(>= Y_0 1e6)", count=3)


def _ones(n: int = 60) -> Around:
    return Around(lambda f: save(f / "other.npz", y=np.ones(60, dtype=int)))


_BEYOND = (
    "import torch\nfrom holdfast.core.data import Batches\n\n\ndef data():\n"
    "    return Batches(x=torch.rand(60, 1, 6, 6), y=torch.arange(60) % 8)\n"
)
_FRACTIONS = _BEYOND.replace("% 8", "/ 30")
_SMALL = NET.replace("12", "7")
_OR = "(and " + " ".join(["(or (<= Y_0 0) (<= Y_1 0) (>= Y_2 9))"] * 12) + ")"
_NARROW = rows(60)[0][..., :5].numpy()
_HOLED = np.where(np.arange(36).reshape(6, 6) == 3, np.nan, rows(60)[0].numpy())

AROUND: dict[str, Around] = {
    "E0112": python("import a_module_that_nobody_has\n"),
    "E0114": python(NET.replace("build()", "build(width)")),
    "E0115": python("def build():\n    return {}\n"),
    "E0116": Around(_weights({"epoch": 3}), lambda f: shutil.copy(f / "net.pt", f / "other.pt")),
    "E0118": python(_SMALL),
    "E0120": config('[audit]\nprofile = "one.toml"\n[gate]\n"clean.accuracy" = "good"\n'),
    "E0121": config("[audit"),
    "E0125": Around(_torn_run),
    "E0126": Around(_torn_ledger, lambda f: (f / ".holdfast/ledger.sqlite").rename(f / "moved")),
    "E0133": Around(lambda f: np.savez(f / "other.npz", a=np.ones(3)), _other().after),
    "E0134": Around(lambda f: _idx(f, False), lambda f: _idx(f, True)),
    "E0136": Around(lambda f: (f / "photos").mkdir(), _photos().after),
    "E0137": _other(np.zeros((0, 1, 6, 6)), np.zeros(0, dtype=int)),
    "E0138": Around(lambda f: np.savez(f / "other.npz", a=np.ones(3), b=np.ones(4))),
    "E0143": _other(rows(2)[0].numpy(), rows(2)[1].numpy()),
    "E0146": Around(_another_hardening),
    "E0152": _ones(),
    "E0157": _other(y=np.full(60, -100)),
    "E0181": _spec(_OR),
    "E0183": _raw_spec(
        b"(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (>= Y_0 1))\n"
    ),
    "E0184": _spec("(>= (* 0.12345678901234567890123 Y_0) 1e6)"),
    "E0185": _raw_spec(b"\xff\xfe\x00"),
    "E0186": _spec("(>= Y_0"),
    "E0191": Around(lambda f: _another_hardening(f, processes=2)),
    "E0200": _other(_HOLED),
    "E0201": _other(_NARROW),
    "E0202": _other(_NARROW),
    "E0203": _other(np.arange(60.0)),
    "E0204": _other(y=np.linspace(0, 2, 60)),
    "E0205": _photos(odd=True),
    "E0206": _table("red"),
    "E0207": _table(""),
    "E0208": Around(_small_spec, lambda f: spec(f, "(>= Y_0 1e6)")),
    "E0209": _table(ragged=True),
    "E0210": Around(lambda f: mine(f, _BEYOND)),
    "E0303": Around(lambda f: mine(f, "def model():\n    return lambda x: x.flatten(1)[:, :3]\n")),
    "E0211": Around(lambda f: (f / "wide.py").write_text(_WIDE)),
    "E0212": Around(lambda f: mine(f, _FRACTIONS)),
    "E0310": Around(lambda f: mine(f, ending("x.tan()"))),
    "E0313": Around(lambda f: mine(f, ending("x.sigmoid()"))),
    "E0320": Around(_two_outputs),
    "E0321": Around(_odd_operator),
    "E0332": Around(_softened),
    "E0401": Around(lambda f: torch.save(build(), f / "whole.pt")),
    "E0402": Around(_script),
    "E0405": _other(y=np.array([{}] * 60, dtype=object)),
    "E0411": Around(_spoilt, _other().after),
    "E0412": Around(_twice, _other().after),
    "E0413": _photos(torn=True),
    "E0414": Around(lambda f: (f / "other.parquet").write_bytes(b"PAR1 and nothing else PAR1")),
    "E0415": Around(_packed),
    "E0416": Around(lambda f: (f / "broken.onnx").write_bytes(b"\x08\x08broken")),
}
"""What stands around the codes whose commands need more than the folder holds."""
