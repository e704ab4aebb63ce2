"""The same command again continues; nothing finished is asked twice, no row passes twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.cli.world import copied, lay, toml

from holdfast.cli.front import run

COUNTED = """import net
import torch
from torch import nn


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net.build()
        self.inner.load_state_dict(torch.load("net.pt", weights_only=True))

    def forward(self, x):
        with open("passes", "a") as file:
            file.write(f"{len(x)}\\n")
        return self.inner(x)


def build():
    return Counted().eval()
"""
WORDS = "audit counted.py:build --data rows.npz --threat linf:0.05 --profile suite.toml".split()
CHECKS = ("clean", "worst-case", "calibration", "ood")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = lay(tmp_path_factory.mktemp("counted"))
    (folder / "counted.py").write_text(COUNTED)
    (folder / "suite.toml").write_text(toml(*CHECKS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        assert run([*WORDS, "--exit-zero"]) == 0
    return folder


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    folder = copied(audited, tmp_path, monkeypatch)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def spent(folder: Path) -> int:
    """Rows that passed through the model since the last call."""
    file = folder / "passes"
    total = sum(map(int, file.read_text().split())) if file.exists() else 0
    file.unlink(missing_ok=True)
    return total


def begun(err: str) -> tuple[int, int]:
    """How many checks ran, and how many were found finished."""
    found = re.search(r"(\d+) checks to run(?:, (\d+) found finished)?", err)
    return (int(found[1]), int(found[2] or 0)) if found else (0, len(CHECKS))


def test_an_unchanged_repeat_makes_no_pass_through_the_model(here, capsys, figure):
    first, told = spent(here), 0
    assert first > 1000
    before = next(here.glob(".holdfast/runs/*/results.json")).read_bytes()
    for more in ([], ["--json"], ["--against", "last"], ["--on", "local:2"]):
        assert run([*WORDS, "--exit-zero", *more]) == 0
        told += spent(here)
        assert told == 0, more
        assert begun(capsys.readouterr().err) == (0, 4)
    (again,) = here.glob(".holdfast/runs/*/results.json")
    assert again.read_bytes() == before
    figure("rows through the model", f"{first} in an audit, {told} in its repeats")


def test_other_gates_judge_the_same_numbers_without_a_pass(here, capsys):
    (here / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = "<= 0.5"\n')
    spent(here)
    assert run(WORDS) == 1 and spent(here) == 0


def test_a_changed_setting_repeats_its_own_check_only(here, capsys):
    suite = here / "suite.toml"
    suite.write_text(suite.read_text().replace("probes = 8", "probes = 9"))
    assert run([*WORDS, "--exit-zero"]) == 0
    assert begun(capsys.readouterr().err) == (1, 3)


def test_a_changed_row_weight_threat_or_seed_repeats_everything(here, capsys):
    import numpy as np
    import torch

    for change in ("--seed=1", "--threat=l2:0.1", "--limit=140"):
        assert run([*WORDS, "--exit-zero", change]) == 0
        assert begun(capsys.readouterr().err) == (4, 0), change
    held = dict(np.load(here / "rows.npz"))
    held["x"][0, 0, 0, 0] += 1e-3
    np.savez(here / "rows.npz", **held)
    assert run([*WORDS, "--exit-zero"]) == 0
    assert begun(capsys.readouterr().err) == (4, 0)
    state = torch.load(here / "net.pt", weights_only=True)
    state["1.bias"][0] += 1e-3
    torch.save(state, here / "net.pt")
    assert run([*WORDS, "--exit-zero"]) == 0
    assert begun(capsys.readouterr().err) == (4, 0)


def test_fresh_asks_everything_again_in_a_folder_of_its_own(here, capsys):
    assert run([*WORDS, "--exit-zero", "--fresh"]) == 0
    assert begun(capsys.readouterr().err) == (4, 0)
    one, two = here.glob(".holdfast/runs/*/results.json")
    assert one.read_bytes() == two.read_bytes()


def test_a_lost_cell_is_asked_again_and_the_others_are_not(here, capsys):
    (first,) = here.glob(".holdfast/runs/*/results.json")
    before = first.read_bytes()
    cells = {o["check"]: o["cell"] for o in json.loads(before)["outcomes"]}
    (file,) = here.glob(f".holdfast/cells/*/{cells['check:calibration']}.json")
    file.write_text("torn")
    assert run([*WORDS, "--exit-zero"]) == 0
    assert begun(capsys.readouterr().err) == (1, 3)
    assert first.read_bytes() == before


def test_the_document_holds_no_time_date_path_or_host(here, tmp_path, monkeypatch, capsys):
    """Equal audits elsewhere, at another time, on another host, give equal bytes."""
    (first,) = here.glob(".holdfast/runs/*/results.json")
    other = tmp_path / "else where"
    shutil.copytree(here, other, ignore=shutil.ignore_patterns(".holdfast"))
    monkeypatch.chdir(other)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere-7")
    monkeypatch.setattr("holdfast.cli.conduct.now", lambda: "2031-02-03T04:05:06+00:00")
    absolute = [str(other / w) if w.endswith((".py:build", ".npz", ".toml")) else w for w in WORDS]
    assert run([*absolute, "--exit-zero"]) == 0
    (second,) = other.glob(".holdfast/runs/*/results.json")
    assert second.read_bytes() == first.read_bytes()
    text = second.read_text()
    for word in (str(tmp_path), "else where", "elsewhere-7", "2031", "04:05", "/tmp/"):
        assert word not in text
    facts = json.loads((second.parent / "run.json").read_text())
    assert facts["started"].startswith("2031") and facts["host"] == "elsewhere-7"
    assert facts["folder"] == str(other) and str(other) in facts["command"]
    out = capsys.readouterr().out
    assert str(other) not in out, out
