"""Under torchrun two processes harden one model as one does, and one of them writes and speaks."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
import torch
from tests.cli.world import lay
from tests.processes import two

from holdfast.cli import company
from holdfast.cli.front import run
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.recipes.standard import Standard
from holdfast.run import ranks

# In double precision sums in another order differ by less than anything that an attack decides by.
NET = """from torch import nn


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()
        self.body = nn.Sequential(nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 3)).double()

    def forward(self, x):
        return self.body(self.flat(x).double())


def build():
    return Double()
"""
LINE = ["harden", "double.pt", "--arch", "double.py:build", "--data", "rows.npz"]
LINE += ["--threat", "linf:0.05", "--recipe", "pgd-at", "--budget", "2h"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="signals and gloo of Linux")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lay(tmp_path)
    (tmp_path / "double.py").write_text(NET)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        body = torch.nn.Sequential(torch.nn.Linear(36, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
    state = {f"body.{name}": p.double() for name, p in body.state_dict().items()}
    torch.save(state, tmp_path / "double.pt")
    return tmp_path


def launched(
    words: list[str], folder: Path, stop: tuple[int, int] | None = None
) -> tuple[int, str, str]:
    """Run a command in two processes; perhaps send them a signal once so many epochs are told."""
    with two("-m", "holdfast", *words, folder=folder) as process:
        assert process.stderr is not None and process.stdout is not None
        told: list[str] = []
        if stop is not None:
            number, epochs = stop
            for line in process.stderr:
                told.append(line)
                if sum("robust" in each for each in told) == epochs:
                    process.send_signal(number)
                    break
        out, rest = process.communicate(timeout=300)
    return process.returncode, out, "".join(told) + rest


def weights(file: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


@pytest.mark.slow
@linux
def test_two_processes_harden_as_one_does_and_one_of_them_speaks(folder):
    words = [*LINE, "--epochs", "6"]
    assert run([*words, "--no-audit", "-o", "alone.safetensors"]) == 0
    code, out, err = launched([*words, "-o", "pair.safetensors"], folder)
    assert code == 0, err
    ours, theirs = weights(folder / "alone.safetensors"), weights(folder / "pair.safetensors")
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], rtol=0, atol=1e-9), name
    cards = [json.loads((folder / f"{n}.json").read_text()) for n in ("alone", "pair")]
    for row, other in zip(*(card["history"] for card in cards), strict=True):
        assert row == pytest.approx(other, abs=1e-9)
    assert cards[0]["readings"] == cards[1]["readings"] and cards[1]["processes"] == 2
    assert "torchrun --nproc-per-node 2 -m holdfast harden" in (folder / "pair.md").read_text()
    assert err.count("pgd-at: ") == 1 and err.count("epoch 6/6") == 1
    assert out.count("clean accuracy  ") == 1 and out.count("what has changed since") == 1
    assert not (folder / "pair.training").exists()


@pytest.mark.slow
@linux
def test_stopped_together_they_go_on_together_and_only_so(folder, capsys):
    words = [*LINE, "--no-audit", "--epochs", "40"]
    assert run([*words, "-o", "whole.safetensors"]) == 0
    words += ["-o", "hard.safetensors"]
    code, _, err = launched(words, folder, (signal.SIGTERM, 2))
    assert code != 0 and err.count("E0700") == 1 and "holdfast itself failed" not in err
    assert (folder / "hard.training" / "training.safetensors").exists()
    assert run(words) == 2
    told = capsys.readouterr().err
    assert "E0191" in told and "torchrun --nproc-per-node 2 -m holdfast harden" in told
    code, _, err = launched(words, folder)
    assert code == 0 and "going on where it was stopped" in err and "epoch 1/40" not in err
    state, other = (weights(folder / f"{n}.safetensors") for n in ("hard", "whole"))
    assert all(torch.allclose(state[k], other[k], rtol=0, atol=1e-9) for k in other)


@pytest.mark.slow
@linux
def test_what_all_of_them_find_wrong_is_said_once(folder):
    code, _, err = launched([*LINE[:4], "--data", "nothing.npz", "--no-audit"], folder)
    assert code != 0 and err.count("E0131") == 1


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)


def test_what_several_processes_cannot_share_is_refused(pair):
    with pytest.raises(ConfigError, match=r"E0192.*batches of 1 rows"):
        company.shared("standard", Standard(), 1, watched=True)
    with pytest.raises(Unsupported, match="E0360"):
        company.shared("convex", object(), 128, watched=False)


def test_a_recipe_whose_rows_meet_says_that_it_may_differ(pair):
    assert company.shared("standard", Standard(), 128, watched=True) == ""
    hooked = Standard(hooks=("hook:mixup",))
    assert "2 processes" in company.shared("mixup", hooked, 128, watched=True)
    coupled = Standard(objective="objective:logit-adjusted")
    assert "may differ" in company.shared("logit-adjustment", coupled, 128, watched=True)


def test_a_process_that_others_leave_says_so(monkeypatch):
    monkeypatch.setattr(ranks, "join_group", lambda device: None)
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(ranks, "rank", lambda: 0)
    monkeypatch.setattr(company.dist, "destroy_process_group", lambda: None)
    with pytest.raises(Unsupported, match="E0361"), company.joined():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    with pytest.raises(RuntimeError, match="of the model"), company.joined():
        raise RuntimeError("a bug of the model")
