"""`holdfast shift`: accuracy by kind and severity, the mCE, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.world import lay

from holdfast.cli.front import run
from holdfast.core.catalog import entries

BASE = "shift net.pt --arch net.py:build --data rows.npz --limit 60".split()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table_and_errors_in_units_of_a_reference(here: Path, capsys) -> None:
    kinds = {"speckle-noise": 0.5, "gaussian-blur": 0.5, "spatter": 0.5, "clean": 0.1}
    Path("errors.json").write_text(json.dumps(kinds))
    words = [*BASE, "--suite", "imagenet-c-extra", "--errors", "errors.json"]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["cells"]) == 3 * 5 and list(told["left_out"]) == ["saturate"]
    for cell in told["cells"]:
        assert cell["low"] <= cell["value"] <= cell["high"]
    errors = {e["name"]: e["value"] for e in told["errors"]}
    mean = sum(1 - c["value"] for c in told["cells"]) / 15
    assert errors["corruption.mean"] == pytest.approx(mean)
    assert errors["corruption.mce"] == pytest.approx(mean / 0.5)
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "mCE" in out and "saturate" in out and "gaussian-blur" in out


def test_refusals(here: Path, capsys) -> None:
    assert run([*BASE, "--suite", "rain"]) == 2
    assert "mnist-c" in capsys.readouterr().err
    assert run([*BASE, "--errors", "none.json"]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suite", "kinds", "one"), [("3dcc", 12, "fog-3d"), ("medmnist-c:blood", 11, "stain-deposit")]
)
def test_scenes_and_modalities_are_suites(here: Path, capsys, suite, kinds, one) -> None:
    assert run([*BASE, "--suite", suite, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["suite"] == suite
    tried = {c["kind"] for c in told["cells"]}
    assert one in tried | set(told["left_out"]) and len(tried) + len(told["left_out"]) == kinds
    assert len(told["cells"]) == 5 * len(tried) >= 25
    if suite == "3dcc":
        assert tried == {e.name for e in entries("shift") if "3dcc" in e.cites}


def test_a_data_set_that_medmnist_has_not_is_refused(here: Path, capsys) -> None:
    for word in ("medmnist-c:brain", "medmnist-c"):
        assert run([*BASE, "--suite", word]) == 2
        assert "retina" in capsys.readouterr().err
    assert run([*BASE, "--suite", "imagenet-c:fog"]) == 2
