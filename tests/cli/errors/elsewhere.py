"""Codes that no command line provokes on purpose: a bug, a missing package, Ctrl-C, a lie."""

from __future__ import annotations

import socket
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.cli.errors import machines, together
from tests.cli.errors.brought import shards
from tests.cli.errors.said import Said, Tell, failed
from tests.readers.test_shards import parquet

from holdfast.core import catalog
from holdfast.core.certificate import Certificate
from holdfast.core.fields import settings
from holdfast.core.kinds import Certifier

AUDIT = "holdfast audit net.pt --arch net.py:build --data rows.npz"
NEVER_BARE = {"E0000", "E0600"}  # families whose errors always have their own


def internal(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    def breaks() -> None:
        raise RuntimeError("a bug")

    patch.setattr("holdfast.cli.lists.papers", breaks)
    return tell("holdfast papers")


def lacking(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """Nothing in the catalogue answers the weakness that an audit is said to find."""
    from holdfast.cli import prescribe

    assert tell(AUDIT)[0] in (0, 1, 3)
    patch.setattr(prescribe, "weaknesses", lambda results: [(prescribe.TABLE[0], "it says so")])
    patch.setattr("holdfast.cli.prescribe.available", lambda names: "")
    return tell("holdfast harden net.pt --arch net.py:build --data rows.npz --recipe auto")


def misfit(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A witness of another size, handed to a property in Python."""
    from holdfast.readers.vnnlib import read_property

    return failed(lambda: read_property(here / "spec.vnnlib").holds([0.0], [0.0]))


def differs(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """An operator that is read wrongly, in a file that is not run as a black box instead."""
    import onnx

    from holdfast.readers import onnx_operators

    model = onnx.load(here / "net.onnx")
    versions = list(model.opset_import)
    node = onnx.helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(
        onnx.helper.make_function("own", "Unused", ["a"], ["b"], [node], versions)
    )
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    onnx.save(model, here / "net.onnx")
    wrong = {**onnx_operators.OPERATORS, "Relu": lambda step, values: values[0].abs()}
    patch.setattr("holdfast.readers.onnx.OPERATORS", wrong)
    return tell(page.case)


def changed(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A checkpoint of which somebody made something else."""
    from holdfast.run.checkpoint import read_state

    (here / "state.safetensors").write_bytes(b"something else")
    return failed(lambda: read_state(here / "state.safetensors"))


def contradiction(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A certifier that calls every row proved."""
    catalog.entries()
    patch.setattr(catalog, "_ENTRIES", dict(catalog._ENTRIES))
    patch.setattr(catalog, "_BY_ID", dict(catalog._BY_ID))

    @catalog.register("certifier", name="liar", says="Everything is proved.")
    @settings
    class Liar(Certifier):
        def __call__(self, model, x, goal, threat, *, dice=None):
            return Certificate(about=model, threat=threat, margin=torch.full((len(x),), -1.0))

    return tell("holdfast certify net.pt --arch net.py:build --data rows.npz --method liar "
                "--threat linf:0.5")  # fmt: skip


def without_onnx(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    if page.code == "E0604":
        pytest.importorskip("onnx", reason="a proof can only be made with the extra onnx")
        assert tell("holdfast verify net.onnx spec.vnnlib --timeout 10 --proof proof.npz")[0] == 0
    else:
        (here / "net.onnx").write_bytes(b"\x08\x08")
    for name in [n for n in sys.modules if n.partition(".")[0] == "onnx"]:
        patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, "onnx", None)
    return tell(page.case)


def without_av(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    from holdfast.readers.published import films

    patch.setattr(films, "find_spec", lambda name: None)
    return failed(lambda: films.frames(here / "film.mp4", 1_000_000))


def unfetched(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A hub that cannot be reached."""

    def silent(*words: object, **more: object) -> None:
        raise ConnectionError("nobody answers")

    hub = SimpleNamespace(HfApi=lambda: SimpleNamespace(model_info=silent))
    patch.setattr("holdfast.readers.hub.extra", lambda package: hub)
    return tell("holdfast audit hf:organisation/name --data rows.npz --allow-network")


def taken(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A port at which somebody listens."""
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        return tell(page.case.replace("8724", str(other.getsockname()[1])))


def unnamed(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A note that nobody signs, as a page of the dashboard may send it."""
    from holdfast.serve.notes import Notes

    return failed(lambda: Notes(here / "notes.json").add("", "It holds."))


def spoilt(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A part of results row by row whose bytes are others."""
    from holdfast.run.partitions import Partitions

    shards(here)
    parts = Partitions(here / ".holdfast/rows/one")
    parts.fill([(0, 3)], lambda number: {"row": torch.arange(3)})
    (file,) = parts.folder.iterdir()
    file.write_bytes(b"PAR1 and no more PAR1")
    return failed(lambda: parts.ask("sum(row)"))


def rewritten(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A shard that becomes shorter between the first look and the reading."""
    from holdfast.readers.shards import shards as look

    shards(here)
    found = look(str(here / "shards"))
    (part, _) = found.parts()
    parquet(here / "shards/0.parquet", p=torch.zeros(5).numpy(), label=torch.arange(5).numpy())
    said = failed(lambda: found.read(part))
    shards(here)
    return said


def stopped(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    patch.setattr("holdfast.cli.conduct.conduct", stop)
    return tell(AUDIT)


def hurried(here: Path, patch: Any, tell: Tell, page: Any) -> Said:
    """A budget that is spent before the first question: undecided, with a code."""
    return tell(page.case)


CASES: dict[str, Callable[[Path, Any, Tell, Any], Said]] = {
    "E0001": internal,
    "E0149": lacking,
    "E0171": taken,
    "E0174": unnamed,
    "E0182": misfit,
    "E0190": unfetched,
    "E0322": differs,
    "E0400": changed,
    "E0424": spoilt,
    "E0431": rewritten,
    "E0500": contradiction,
    "E0603": without_onnx,
    "E0604": without_onnx,
    "E0605": without_av,
    "E0700": stopped,
    "E0740": hurried,
    **machines.CASES,
    **together.CASES,
}


def installs(line: str) -> bool:
    """Whether a pip command names an extra that there is, or one plain package."""
    root = Path(__file__).parents[3]
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    words = line.removeprefix("pip install ").strip("'")
    name = words.partition("[")[2].rstrip("]")
    return name in extras if name else words.isidentifier()
