"""A package that announces itself: found in a fresh process, by nothing but its metadata."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.world import WORDS, lay

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin" / "corners.py"
POINTS = """[holdfast.attacks]
corners = acme_attacks.corners
twice = acme_attacks.presets:TWICE
[holdfast.readers]
bright = acme_attacks.rows:bright
[holdfast.sections]
acme = acme_attacks.rows:section
"""
PRESETS = """from .lengths import STEPS
from holdfast.attacks.pgd import PGD
TWICE = PGD(steps=STEPS)
"""
ROWS = """import torch

def bright(rest):
    x = torch.rand(int(rest), 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(int(rest)) % 3

def section(results):
    return [{"severity": "info", "says": "Acme was here."}]
"""
SUITE = """[[check]]
use = "check:worst-case"
attacks = ["attack:twice"]
limit = 20
probes = 0
[[check]]
use = "check:clean"
"""
SCRIPT = """
import sys
from holdfast.cli.front import run
for line in sys.argv[1:]:
    print("LINE", run(line.split()), flush=True)
"""


@pytest.fixture
def here(tmp_path):
    site, folder = tmp_path / "site", tmp_path / "work"
    package, about = site / "acme_attacks", site / "acme_attacks-1.2.dist-info"
    for place in (package, about, folder):
        place.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-attacks\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(POINTS)
    (package / "__init__.py").write_text("")
    (package / "corners.py").write_text(EXAMPLE.read_text("utf-8"))
    (package / "presets.py").write_text(PRESETS)
    (package / "lengths.py").write_text("STEPS = 2\n")
    (package / "rows.py").write_text(ROWS)
    lay(folder)
    (folder / "mine.toml").write_text(SUITE)
    return folder


def said(here: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Commands in one fresh process, in which the package lies on the path."""
    paths = [str(ROOT / "src"), str(here.parent / "site")]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *lines], cwd=here, capture_output=True, text=True,
        check=False, timeout=300, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


@pytest.mark.slow
def test_what_a_package_announces_is_there(here):
    audit = " ".join([*WORDS, "mine.toml", "--exit-zero"])
    first = said(here, "list attack --json", "show attack:twice --json", f"{audit} --json",
                 audit.replace("rows.npz", "bright:80"))  # fmt: skip
    assert first.stdout.count("LINE 0") == 4, first.stderr
    listed, shown, document, _, _ = first.stdout.split("LINE 0\n")
    rows = {row["key"]: row.get("origin") for row in json.loads(listed)}
    label = "acme-attacks 1.2"
    assert (rows["attack:corners"], rows["attack:twice"], rows["attack:pgd"]) == (
        label, label, None
    )  # fmt: skip
    assert json.loads(shown)["origin"] == label
    cards = {m["key"]: m for m in json.loads(document)["methods"]}
    assert cards["attack:twice"]["origin"] == label
    (report,) = [p for p in here.glob(".holdfast/runs/*/report.html")][:1]
    assert "Acme was here." in report.read_text("utf-8")

    # Unchanged nothing runs; a module that is only imported by the preset's counts as well.
    (here.parent / "site/acme_attacks/corners.py").write_text(
        EXAMPLE.read_text("utf-8") + "# not reached by this audit\n"
    )
    again = said(here, audit)
    assert "checks to run" not in again.stderr and "LINE 0" in again.stdout
    (here.parent / "site/acme_attacks/lengths.py").write_text("STEPS = 3\n")
    changed = said(here, audit)
    assert "1 checks to run, 1 found finished" in changed.stderr


@pytest.mark.slow
def test_a_package_that_cannot_be_imported_is_named(here):
    (here.parent / "site/acme_attacks/rows.py").write_text("import torch\nraise OSError('no')\n")
    found = said(here, "list attack")
    assert "LINE 2" in found.stdout
    assert "E0168  plugin acme-attacks 1.2 cannot be imported: line 2 of rows.py" in found.stderr
    assert "pip uninstall acme-attacks" in found.stderr
