"""A run that is killed anywhere and continued ends with the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.early import EarlyStopping
from holdfast.hooks.ema import EMA
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.checkpoint import read_state
from holdfast.run.loop import Control, Training
from holdfast.threats.norms import LInf


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


FUSE = [10**9]


def burn() -> None:
    FUSE[0] -= 1
    if FUSE[0] == 0:
        raise Killed


@settings
class Bomb(Hook):
    """Every stage of every step burns a piece of the fuse."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        burn()
        return batch

    def losses(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        burn()
        return losses

    def gradients(self, run: Run) -> None:
        burn()

    def stepped(self, run: Run) -> None:
        burn()

    def epoch(self, run: Run) -> None:
        burn()


def data() -> Batches:
    x = torch.rand(30, 6, generator=torch.Generator().manual_seed(7))
    return Batches(x=x, y=x[:, :3].argmax(1), size=4)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3)
        )


def plan(precision: str = "full") -> Training:
    return Training(
        objective=AdversarialTraining(
            threat=LInf(radius=0.05), attack=PGD(steps=2, climb="soft"), mode="train", clean=0.5
        ),
        optimizer=Later("optimizer:sam", base=Later("torch:Adam", lr=0.01)),
        hooks=(EMA(decay=0.9), EarlyStopping(patience=9, held=data()), Bomb()),
        epochs=3,
        accumulate=2,
        warmup=0.2,
        precision=precision,  # type: ignore[arg-type]
    )


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize(("precision", "every"), [("full", 0), ("full", 1), ("fp16", 2)])
def test_killed_at_random_stages_and_continued(
    precision: str, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (real(file), burn())[0])  # while writing, too
    chance = random.Random(f"{precision}{every}")
    FUSE[0], whole = 10**9, net()
    expected = plan(precision)(whole, data())
    kills = 0
    for _ in range(6):
        model = net()
        with torch.no_grad():
            model[0].weight.zero_()  # what is kept counts, not what a new process starts with
        FUSE[0] = chance.randint(1, 40 if every else 75)
        fresh = not (tmp_path / "training.safetensors").exists()
        try:
            run = plan(precision)(net() if fresh else model, data(), control=_kept(tmp_path, every))
        except Killed:
            kills += 1
        else:
            break
    FUSE[0], model = 10**9, net()
    run = plan(precision)(model, data(), control=_kept(tmp_path, every))
    assert kills >= 2
    assert same(whole, model) and run.history == expected.history
    assert run.step == expected.step == 12 and run.stopped == ""


def _kept(folder: Path, every: int) -> Control:
    return Control(folder=folder, every=every)


def test_kept_after_every_so_many_steps_and_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    """Eight steps an epoch, kept every three: what the file holds as each step ends."""
    file, seen = tmp_path / "training.safetensors", []

    def look(run: object) -> None:
        seen.append(read_state(file)["step"] if file.exists() else 0)

    control = Control(folder=tmp_path, every=3, progress=look)
    replace(LONG, epochs=2)(net(), data(), control=control)
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 8, 9, 9, 9, 12, 12, 12, 15]
    assert read_state(file)["step"] == 16 and read_state(file)["done"]


def test_another_run_is_not_continued(tmp_path: Path) -> None:
    FUSE[0] = 10**9
    plan()(net(), data(), control=_kept(tmp_path, 0))
    changed = replace(data(), x=data().x + 0.01)  # type: ignore[operator]
    for other, rows in ((replace(plan(), epochs=4), data()), (plan(), changed)):
        with pytest.raises(ConfigError, match="another"):
            other(net(), rows, control=_kept(tmp_path, 0))


LONG = Training(epochs=12, hooks=(EMA(decay=0.9),), optimizer=Later("torch:Adam", lr=0.01))


def main() -> None:
    """A process that is killed at a random moment, whatever it does, and one that is not."""
    torch.set_num_threads(1)
    folder, dies = Path(sys.argv[1]), sys.argv[2] == "dies"

    def slow(run: object) -> None:
        if run.step == 2 and dies:  # type: ignore[attr-defined]
            moment = random.uniform(0.0, 0.4)
            threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(0.02 if dies else 0.0)

    model = net()
    LONG(model, data(), control=Control(folder=folder / "kept", every=1, progress=slow))
    torch.save(model.state_dict(), folder / "end.pt")


def test_kill_9_and_continue(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ends = []
    for word in ("dies", "lives"):
        command = [sys.executable, __file__, str(tmp_path), word]
        ends.append(subprocess.run(command, env=env, timeout=300).returncode)
    assert ends == [-signal.SIGKILL, 0]
    whole = net()
    LONG(whole, data())
    state = torch.load(tmp_path / "end.pt", weights_only=True)
    assert all(torch.equal(value, state[key]) for key, value in whole.state_dict().items())


if __name__ == "__main__":
    main()
