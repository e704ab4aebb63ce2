"""`holdfast certify`: what it says of a small net, and what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from holdfast.cli.front import run

ARCH = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small trained net for digits."""
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    (tmp_path / "arch.py").write_text(ARCH)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    data = load_digits()
    x, y = torch.tensor(data.images / 16).float(), torch.tensor(data.target)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), "net.safetensors")
    return tmp_path


BASE = ["certify", "net.safetensors", "--arch", "arch.py:make", "--data", "digits", "--limit", "60"]


def told(capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    assert run([*BASE, *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_proved_lies_below_standing_and_shrinks(net: Path, capsys) -> None:
    near = told(capsys, "--threat", "linf:0.01", "-o", "bounds.safetensors")
    far = told(capsys, "--threat", "linf:0.08")
    for one in (near, far):
        assert one["proved"]["value"] <= one["standing"]["value"] <= one["clean"]["value"]
        assert one["proved"]["bound"] == "lower" and one["standing"]["bound"] == "upper"
    assert far["proved"]["value"] < near["proved"]["value"]
    kept = load_file("bounds.safetensors")
    assert int(kept["proved"].sum()) == round(near["proved"]["value"] * 60)
    assert bool((kept["margin"][kept["proved"]] < 0).all())


def test_cheaper_method_proves_less_and_radii_agree(net: Path, capsys) -> None:
    tight = told(capsys, "--threat", "linf:0.04", "--radii")
    loose = told(capsys, "--threat", "linf:0.04", "--method", "ibp")
    complete = told(capsys, "--threat", "linf:0.04", "--method", "bab", "--set", "parts=200")
    assert loose["proved"]["value"] < tight["proved"]["value"] <= complete["proved"]["value"]
    assert 0 < tight["radius"]["mean"] <= 0.04 + 1e-12


def test_smoothing_needs_noise(net: Path, capsys) -> None:
    assert run([*BASE, "--threat", "l2:0.1", "--method", "smoothing"]) == 2
    assert "sigma" in capsys.readouterr().err
    found = told(
        capsys, "--threat", "l2:0.1", "--method", "smoothing", "--sigma", "0.2",
        "--set", "samples=200",
    )  # fmt: skip
    assert found["confidence"] == 0.999
    assert found["radius"]["median"] > 0.1


def test_counts_add_up_and_the_command_repeats(net: Path, capsys) -> None:
    one = told(capsys, "--threat", "linf:0.05", "--method", "ibp", "--seed", "3")
    assert sum(one["counts"].values()) == 60
    assert one["counts"]["proved"] == round(one["proved"]["value"] * 60)
    assert one["counts"]["open"] == one["open"] and one["mass"] == 1 and one["copies"] == 0
    words = shlex.split(one["command"])
    assert words[0] == "holdfast" and run([*words[1:], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in one.items() if k != "seconds"
    }


def test_people_read_bounds_what_is_open_and_what_is_tighter(net: Path, capsys) -> None:
    assert run([*BASE, "--threat", "linf:0.05", "--method", "ibp"]) == 0
    out, err = capsys.readouterr()
    assert "lower bound" in out and "upper bound" in out and "--method crown is tighter" in out
    assert "certifier:ibp on 60 rows" in err and max(map(len, out.splitlines())) < 140
    assert run([*BASE, "--threat", "linf:0", "--method", "crown"]) == 0
    assert "the bounds meet" in capsys.readouterr().out


def test_a_test_of_one_radius_draws_fewer_copies(net: Path, capsys) -> None:
    words = ("--threat", "l2:0.05", "--sigma", "0.2", "--limit", "10")
    fixed = told(capsys, *words, "--method", "smoothing")
    sequential = told(capsys, *words, "--method", "smoothing-sequential")
    assert fixed["copies"] == 1100
    assert 16 <= sequential["copies"] < 400
    assert abs(fixed["counts"]["proved"] - sequential["counts"]["proved"]) <= 2


def test_what_holds_on_most_changes_is_no_proof(net: Path, capsys) -> None:
    found = told(capsys, "--threat", "linf:0.01", "--method", "pac", "--limit", "10")
    assert found["counts"]["proved"] == 0 and found["mass"] < 1 and found["held"] > 0


def test_refusals_name_the_option_that_helps(net: Path, capsys) -> None:
    def said(*more: str) -> str:
        assert run([*BASE, *more]) == 2
        return capsys.readouterr().err

    assert "Did you mean --method alpha?" in said("--method", "alpa")
    assert "--sigma" in said("--threat", "l2:0.1", "--method", "smoothing", "--sigma", "0")
    assert "--method smoothing" in said("--threat", "l2:0.1", "--sigma", "0.2")
    assert "beta-crown" in said("--threat", "l2:0.1", "--method", "milp")
    assert "attacked" not in said("--threat", "l2:0.1", "--method", "milp")  # refused before that


def test_what_is_refused(net: Path, capsys) -> None:
    assert run([*BASE, "--method", "crwn"]) == 2
    assert "crown" in capsys.readouterr().err
    assert run([*BASE, "-o", "net.safetensors"]) == 2
    assert run([*BASE, "--threat", "rotation:30"]) == 2
    assert "norm ball" in capsys.readouterr().err
