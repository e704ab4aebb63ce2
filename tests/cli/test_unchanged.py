"""The same audit again: its verdict stands without a look at the model, unless anything changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.world import NET, WORDS, lay

from holdfast.cli import unchanged
from holdfast.cli.opened import opened, outside
from holdfast.cli.unchanged import NAME, Seal, before, sealable
from holdfast.core.records import Outcome
from holdfast.run.decisions import CUT, STOPPED
from holdfast.run.store import Store

COMMAND = [*WORDS, "few.toml"]
FRESH = """
import json, pathlib, sys
pathlib.Path("paths.json").write_text(json.dumps(sys.path))
from holdfast.cli.front import run
code = run(sys.argv[1:])
heavy = sorted({"torch", "numpy"} & sys.modules.keys())
sys.stderr.write(f"HEAVY {heavy}\\n")
raise SystemExit(code)
"""


def asked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a new process."""
    return subprocess.run(
        [sys.executable, "-c", FRESH, *words], cwd=folder, capture_output=True, text=True,
        timeout=300, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A folder in which an audit is finished; the architecture lies in two files."""
    folder = lay(tmp_path_factory.mktemp("sealed"))
    (folder / "widths.py").write_text("HIDDEN = 12\n")
    (folder / "net.py").write_text("from widths import HIDDEN\n" + NET.replace("12", "HIDDEN"))
    first = asked(folder, *COMMAND)
    assert first.returncode == 0, first.stderr
    return folder, first


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    """A place to work in; the seal names files by their places, so the folder itself is used."""
    folder, _ = audited
    spare = tmp_path / "spare"
    shutil.copytree(folder, spare, copy_function=shutil.copy2)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(
        "OMP_WAIT_POLICY", os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    )  # as audits do
    # Tests before this one may have imported what adds places; a new process has none of them.
    monkeypatch.setattr(unchanged, "PATHS", json.loads((folder / "paths.json").read_text()))
    yield folder
    for file in spare.rglob("*"):
        if file.is_file() and ".holdfast" not in file.parts:
            shutil.copy2(file, folder / file.relative_to(spare))
    (folder / "holdfast.toml").unlink(missing_ok=True)


def options(folder: Path) -> tuple[str, dict]:
    (row,) = {r.id: r for r in Store(folder / ".holdfast").ledger.runs()}.values()
    return row.options["model"], {k: v for k, v in row.options.items() if k != "model"}


def test_an_unchanged_audit_is_said_again_without_torch(audited):
    folder, first = audited
    place = next(folder.glob(".holdfast/runs/*/results.json"))
    kept = place.read_bytes()
    again = asked(folder, *COMMAND, "--junit", "j.xml", "--markdown", "m.md", "--sarif", "s.sarif")
    assert again.returncode == 0 and "nothing has changed" in again.stderr
    assert "HEAVY []" in again.stderr and "HEAVY ['numpy', 'torch']" in first.stderr
    lines = [t.splitlines()[-12:] for t in (first.stdout, again.stdout)]
    gates = [[r for r in rows if "clean.accuracy" in r] for rows in lines]
    assert gates[0] == gates[1] and gates[0]
    assert place.read_bytes() == kept and len(list(place.parents[1].iterdir())) == 1
    assert "<testsuite" in (folder / "j.xml").read_text() and (folder / "m.md").read_text()
    assert json.loads((folder / "s.sarif").read_text())["version"] == "2.1.0"
    shown = asked(folder, "audit", "--json")
    assert json.loads(shown.stdout) == json.loads(kept) and "HEAVY []" in shown.stderr


def test_fresh_asks_again(here):
    found = asked(here, *COMMAND, "--fresh", "--dry-run")
    assert "nothing has changed" not in found.stderr and "torch" in found.stderr


def edits(folder: Path) -> dict:
    """What may change: each a file and its new bytes."""
    net, rows = (folder / "net.pt").read_bytes(), (folder / "rows.npz").read_bytes()
    found = {"suite": ("few.toml", (folder / "few.toml").read_bytes() + b"\n# more\n")}
    for place in (100, len(net) // 2, len(net) - 1):
        turned = bytes([net[place] ^ 1])
        found[f"weights at {place}"] = ("net.pt", net[:place] + turned + net[place + 1 :])
    found["data"] = ("rows.npz", rows[:-1] + bytes([rows[-1] ^ 1]))
    found["architecture"] = ("net.py", (folder / "net.py").read_bytes() + b"# x\n")
    found["what the architecture imports"] = ("widths.py", b"HIDDEN = 13\n")
    found["gates"] = ("holdfast.toml", b'[gate]\n"clean.accuracy" = ">= 0.5"\n')
    found["project"] = ("pyproject.toml", b"[tool.other]\n")
    return found


def test_whatever_changes_the_audit_is_asked_again(here):
    model, chosen = options(here)
    store = Store(".holdfast")
    assert before(store, model, chosen) is not None
    for what, (name, content) in edits(here).items():
        file = Path(name)
        kept = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        assert before(store, model, chosen) is None, what
        file.write_bytes(kept) if kept is not None else file.unlink()
    assert before(store, model, chosen) is not None
    for name, value in (("seed", 1), ("threat", ["linf:0.06"]), ("limit", 9), ("mean", "0.5")):
        assert before(store, model, chosen | {name: value}) is None, name


def test_the_package_what_is_installed_and_the_environment_count(here, tmp_path, monkeypatch):
    model, chosen = options(here)
    files = json.loads(next(Path().glob(f".holdfast/runs/*/{NAME}")).read_text())["files"]
    assert {Path(f).name for f in files} >= {"net.py", "widths.py", "net.pt"}

    def now() -> str:
        return unchanged.seal(model, chosen, files)

    first = now()
    assert first == now()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert now() != first
    monkeypatch.setattr(unchanged, "OURS", tmp_path)
    (tmp_path / "a.py").write_text("A = 1\n")
    second = now()
    (tmp_path / "a.py").write_text("A = 22\n")
    third = now()
    assert len({first, second, third}) == 3
    monkeypatch.setattr(unchanged, "PATHS", [*unchanged.PATHS, str(tmp_path)])
    fourth = now()
    (tmp_path / "other-2.0.dist-info").mkdir()
    assert now() != fourth


@pytest.mark.parametrize(("model", "data"), [
    ("net.py:build", "rows.npz"), ("net.pt", "rows.py:rows"), ("net.pt", "none.npz"),
    ("net.pt", "digits.py:rows"), ("net.pt", "imagenet-c:folder"),
    ("http://127.0.0.1:1/predict", "digits"), ("hf:org/name", "digits"),
])  # fmt: skip
def test_what_cannot_be_sealed_is_asked_again(here, model, data):
    usual = {"data": "rows.npz", "profile": "few.toml"}
    assert sealable("net.pt", usual)
    assert not sealable(model, {"data": data, "profile": "few.toml"})
    assert not sealable("net.pt", usual | {"reference": "gone.npz"})
    assert not sealable("net.pt", usual | {"plugin": ["mine.py"]})
    assert not sealable("net.pt", usual | {"allow_network": True})


def test_accepted_risks_end_on_a_day_and_are_never_sealed(here):
    Path("holdfast.toml").write_text('[[accepted]]\ngate = "clean.accuracy"\n')
    assert not sealable("net.pt", {"data": "rows.npz", "profile": "few.toml"})


def test_a_run_with_something_to_try_again_leaves_no_seal(here, tmp_path):
    model, chosen = options(here)
    store = Store(tmp_path / "store")
    for more in ({"error": "it broke"}, {"skipped": f"{CUT} of time"}, {"skipped": STOPPED}):
        Seal(model, chosen, set()).keep(store, "a", [Outcome(check="check:clean", **more)])
        assert not (store.folder("a") / NAME).exists()
    seal = Seal(model, chosen, set())
    kept = Path("rows.npz").read_bytes()
    Path("rows.npz").write_bytes(kept + b" ")
    seal.keep(store, "a", [Outcome(check="check:clean")])
    assert not (store.folder("a") / NAME).exists()  # it changed while the audit ran
    Path("rows.npz").write_bytes(kept)
    seal.keep(store, "a", [Outcome(check="check:clean")])
    assert (store.folder("a") / NAME).exists()


def test_files_that_are_opened_are_noticed(tmp_path):
    (tmp_path / "table.json").write_text("{}")
    with opened() as found:
        (tmp_path / "table.json").read_text()
    (tmp_path / "later.json").write_text("{}")
    assert str(tmp_path / "table.json") in outside(found)
    assert str(tmp_path / "later.json") not in outside(found)
    assert not any("site-packages" in f for f in outside(found))
