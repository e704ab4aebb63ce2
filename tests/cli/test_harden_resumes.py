"""Stopped or killed, it goes on to the same weights; the best epoch is handed over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.cli.world import build, lay, rows
from torch import nn

from holdfast.cli.front import run
from holdfast.cli.watching import Teller, Watch, standing
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.ema import EMA
from holdfast.run.loop import Control, Training
from holdfast.threats.norms import LInf

LINE = ["harden", "net.pt", "--arch", "net.py:build", "--data", "rows.npz", "--no-audit"]
LINE += ["--threat", "linf:0.05", "--recipe", "pgd-at", "--budget", "2h", "-o", "hard.safetensors"]
THREAT = LInf(radius=0.05)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return lay(tmp_path)


def ended(words: list[str], number: int, folder: Path, epochs: int) -> tuple[int, str]:
    """A process of its own that gets a signal once so many epochs are told.

    It hears Ctrl-C even where the tests run in the background of a shell that ignores it.
    """
    paths = os.pathsep.join(p for p in sys.path if p)
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "holdfast", *words],
        cwd=folder, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if sum("robust" in each for each in told) == epochs:
                process.send_signal(number)
                break
        told.append(process.stderr.read())
    return process.returncode, "".join(told)


@pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")
def test_stopped_then_killed_it_ends_with_the_same_bytes(folder):
    words = [*LINE, "--epochs", "150"]
    assert run([*words[:-4], "-o", "whole.safetensors", "--epochs", "150"]) == 0
    code, told = ended(words, signal.SIGINT, folder, 3)
    assert code == 130 and "Continue: holdfast harden" in told
    code, told = ended(words, signal.SIGKILL, folder, 3)
    assert code == -signal.SIGKILL and "going on" in told and "epoch 1/150" not in told
    assert (folder / "hard.training" / "training.safetensors").exists()
    assert run(words) == 0
    state, other = (torch_state(folder / f"{n}.safetensors") for n in ("hard", "whole"))
    assert all(torch.equal(state[k], other[k]) for k in other)
    cards = [json.loads((folder / f"{n}.json").read_text()) for n in ("hard", "whole")]
    for name in ("history", "readings", "digest_after", "best", "epochs"):
        assert cards[0][name] == cards[1][name]
    assert not (folder / "hard.training").exists()


def torch_state(file: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


def test_the_folder_of_another_run_is_not_continued(folder, capsys):
    kept = folder / "hard.training"
    kept.mkdir()
    (kept / "plan.json").write_text('{"identity": "other"}')
    assert run([*LINE, "--epochs", "1"]) == 2 and "--fresh" in capsys.readouterr().err
    assert run([*LINE, "--epochs", "1", "--fresh"]) == 0


def watched(hooks: tuple[object, ...] = (), epochs: int = 4, rate: float = 0.5, **control: object):
    x, y = rows(120)
    torch.manual_seed(1)
    model, data = build(), Batches(x=x, y=y, size=40)
    watch = Watch(rows=data, threat=THREAT, steps=3, means=hooks)  # type: ignore[arg-type]
    plan = Training(
        optimizer=Later("torch:SGD", lr=rate), epochs=epochs, hooks=(*hooks, watch),  # type: ignore[arg-type]
        schedule="constant",
    )  # fmt: skip
    done = plan(model, data, dice=Dice.of(120, 0), control=Control(**control))  # type: ignore[arg-type]
    return model, data, done, done.memory(watch)


def same(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_the_best_epoch_is_handed_over():
    model, data, done, memory = watched()
    scores = [row["robust"] for row in done.history]
    assert memory["best"] == max(scores)
    assert memory["at"] == max(i for i, s in enumerate(scores) if s == max(scores))
    assert same(model, memory["weights"])
    assert standing(model, data, THREAT, 3, 0)[1] == round(max(scores) * 120)
    # A rate at which everything breaks: the epoch before is what is left.
    worse = watched(rate=0.0)[3]
    assert worse["at"] == 3  # of equal ones the last


def test_means_of_weights_are_what_is_measured_and_handed_over():
    ema = EMA(decay=0.9)
    model, data, done, memory = watched((ema,))
    assert same(model, memory["weights"])
    assert done.history[-1]["clean"] == memory["clean"] or memory["at"] < 3
    right = standing(model, data, THREAT, 3, 0)[0]
    assert right == round(memory["clean"] * 120)


def test_weights_that_a_hook_changes_at_the_end_are_not_thrown_away():
    class Halved(Hook):
        def end(self, run: Run) -> None:
            with torch.no_grad():
                for p in run.model.parameters():
                    p.zero_()

    model, _, done, memory = watched((Halved(),))
    assert all(not p.any() for p in model.parameters()) and same(model, memory["weights"])
    assert max(row["clean"] for row in done.history) > 0.5, "better epochs do not compete"


def test_a_run_without_time_hands_over_what_it_has():
    model, _, done, memory = watched(deadline=0.0)
    assert done.stopped == "deadline" and done.step == 1
    assert memory["step"] == 1 and same(model, memory["weights"])


def test_progress_is_told_with_what_is_left(capsys):
    class Run:
        progress, epoch, history = 0.25, 0, [{"loss": 1.0, "clean": 0.5, "robust": 0.25}]

    spent: list[float] = []
    tell = Teller(4, spent.append)
    Run.history = []
    tell(Run())
    tell.begun -= 10.0
    Run.progress, Run.history = 0.5, [{"loss": 1.0, "clean": 0.5, "robust": 0.25}]
    tell(Run())
    told = capsys.readouterr().err
    assert "epoch 1/4" in told and "clean 50.0%" in told and "robust 25.0%" in told
    assert "20s left" in told
    tell.noted = time.monotonic() - 2
    tell(Run())
    assert spent and spent[0] >= 2
